"""One device's session: what its transport brings becomes records in the outbox.

    arrival -> wait for its clock -> decode -> flag implausible -> event or block
            -> append (returns after COMMIT) -> tell the transport what was accepted

One consumer, in order of arrival. Octets that cannot be decoded go to quarantine and the session
goes on; only a bug ends it.
"""

import msgspec

from wardlight_edge.config import DeviceSettings
from wardlight_edge.devices import device_information, flag_implausible
from wardlight_edge.outbox.base import NewRecord
from wardlight_edge.sessions.acceptance import Acceptance
from wardlight_edge.sessions.board import DeviceEntry
from wardlight_edge.sessions.decoding import Told, Values, clock_channel, decoding_of
from wardlight_edge.sessions.device_clock import DeviceClockKeeper
from wardlight_edge.sessions.events import EventLog
from wardlight_edge.sessions.gate import Gate
from wardlight_edge.sessions.gateway import Gateway
from wardlight_edge.sessions.inbox import Inbox, Lost
from wardlight_edge.sessions.limits import AlarmLimits
from wardlight_edge.sessions.records import Data, gap_record
from wardlight_edge.sessions.statuses import Statuses
from wardlight_edge.sessions.stream import StreamLog
from wardlight_edge.sessions.times import skew_s
from wardlight_edge.transports.base import (
    Arrival,
    LinkChange,
    LinkState,
    Octets,
    ReadsDone,
    Transport,
    Unreadable,
)
from wardlight_shared.errors import DecodeError
from wardlight_shared.model import DeviceInfo
from wardlight_shared.profile import Profile

MOST_HELD = 256
TICK_S = 1.0


class Session:
    """Consumes the arrivals of one device; ``inbox`` is where its transport puts them."""

    def __init__(
        self, device: DeviceSettings, profile: Profile, gateway: Gateway, entry: DeviceEntry
    ) -> None:
        self._identity = device.identity
        self._profile = profile
        self._gateway = gateway
        self._entry = entry
        self._acceptance = Acceptance(gateway, entry)
        self.inbox = Inbox(self._acceptance.is_full)
        self.device_clock = DeviceClockKeeper(gateway.clock, gateway.is_clock_trusted)
        self._decoding = decoding_of(profile)
        self._limits = AlarmLimits(profile)
        self._statuses = Statuses(device.identity)
        is_ble = device.identity.startswith("ble:")
        self._gate = Gate(
            needs_clock=is_ble and clock_channel(profile) is not None,
            serial_number=device.serial_number if is_ble else None,
        )
        self._events = EventLog(device.identity, profile, gateway, self._limits, self.device_clock)
        self._stream = self._stream_log()
        self._link = LinkChange(LinkState.WAITING, 0)
        self._is_silent = False
        self._valid_ms = 0
        self._held: list[Octets] = []
        self._token: int | None = None
        self._records: list[NewRecord] = []

    async def run(self, transport: Transport) -> None:
        """Consume until the inbox is closed and empty; then all of it is in the outbox."""
        while not self.inbox.is_done:
            for arrival in await self.inbox.take(self._wait_s()):
                self._take(arrival)
            self._tick()
            await self._accept(transport)
        self._release()
        if self._stream is not None:
            self._records += self._stream.flush()
        await self._accept(transport)

    def _stream_log(self) -> StreamLog | None:
        if self._profile.stream is None:
            return None
        return StreamLog(
            self._identity,
            self._profile.stream,
            self._limits,
            self._gateway.outbox.series_number,
            self._gateway.open_streams,
            self._gateway.live_until,
        )

    async def _accept(self, transport: Transport) -> None:
        """Append what was made; return when it is committed."""
        lost = self.inbox.take_lost()
        if lost is not None:
            self._records.append(self._gap_of(lost))
        while self._records:
            records, self._records = self._records, []
            await self._acceptance.append(records)
            self._show()
        if self._stream is not None:
            self._stream.accepted()
        if self._token is not None and (self._stream is None or self._stream.is_empty):
            transport.accepted(self._token)
            self._token = None

    def _gap_of(self, lost: Lost) -> NewRecord:
        self._entry.count("lost", lost.count)
        clock = self._gateway.clock
        wall_ms = clock.wall_ms() - clock.mono_ms() + lost.until_ms
        since_ms, until_ms = lost.since_ms, lost.until_ms
        return gap_record(self._identity, lost.cause, lost.count, since_ms, until_ms, wall_ms)

    # -- arrivals

    def _take(self, arrival: Arrival) -> None:
        match arrival:
            case Octets():
                self._take_octets(arrival)
            case LinkChange():
                self._change_link(arrival)
            case ReadsDone():
                self._reads_done()
            case Unreadable():
                self._reject(arrival.octets, arrival.reason, arrival.mono_ms)
                self._token = arrival.token
        if self._held and (self._gate.is_open(arrival.mono_ms) or self._gate.is_refusing):
            self._release()

    def _take_octets(self, arrival: Octets) -> None:
        if arrival.is_read or self._gate.is_open(arrival.mono_ms):
            self._decode(arrival)
        elif self._gate.is_refusing or len(self._held) >= MOST_HELD:
            self._reject(arrival.octets, "not the enrolled device", arrival.mono_ms)
        else:
            self._held.append(arrival)
        self._token = arrival.token

    def _release(self) -> None:
        """Decode what waited; of a device that is not the enrolled one nothing is taken."""
        held, self._held = self._held, []
        for arrival in held:
            if self._gate.is_refusing:
                self._reject(arrival.octets, "not the enrolled device", arrival.mono_ms)
            else:
                self._decode(arrival)

    def _change_link(self, change: LinkChange) -> None:
        was_up = self._link.state is LinkState.CONNECTED
        self._link = change
        if change.state is LinkState.CONNECTED:
            self._entry.count("links")
            self._valid_ms = change.mono_ms
            self._is_silent = False
            self._decoding.restart()
            self.device_clock.link_up()
            self._gate.link_up(change.mono_ms)
        elif was_up:
            self._reads_done()
            self._release()
            if change.state is not LinkState.ENDED:
                self._interrupt("link-lost")
            elif self._stream is not None:
                self._records += self._stream.flush()
        self._show()

    def _reads_done(self) -> None:
        """Nothing more will be read on this link: say at once what the device is."""
        self._gate.reads_done()
        if self._entry.info != DeviceInfo():
            clock = self._gateway.clock
            info = self._entry.info
            self._records += self._statuses.info(info, clock.mono_ms(), clock.wall_ms())

    def _interrupt(self, cause: str) -> None:
        if self._stream is not None:
            self._entry.count("link_losses")
            self._records += self._stream.interrupted(cause)

    # -- values

    def _decode(self, arrival: Octets) -> None:
        try:
            meanings = self._decoding.decode(arrival)
        except DecodeError as error:
            self._reject(arrival.octets, str(error), arrival.mono_ms)
            return
        self._entry.count("decode_errors", self._decoding.take_damaged())
        for meaning in meanings:
            match meaning:
                case Told():
                    self._told(meaning, arrival)
                case Values():
                    self._values(meaning, arrival)

    def _values(self, values: Values, arrival: Octets) -> None:
        readings = flag_implausible(values.readings, self._profile)
        self._entry.count("readings", len(readings))
        self._entry.saw_data(arrival.mono_ms, arrival.wall_ms)
        self._valid_ms = arrival.mono_ms
        if self._is_silent:
            self._is_silent = False
            self._show()
        if values.is_stream and self._stream is not None:
            flagged = msgspec.structs.replace(values, readings=readings)
            self._records += self._stream.add(flagged, arrival)
        else:
            self._records.append(self._events.record(readings, arrival))

    def _told(self, told: Told, arrival: Octets) -> None:
        mono_ms, wall_ms = arrival.mono_ms, arrival.wall_ms
        if told.clock is not None:
            self.device_clock.shown(told.clock)
            skew = skew_s(told.clock, self._events.receipt(arrival))
            self._entry.clock_skew_s = skew
            self._records += self._statuses.clock(skew, mono_ms, wall_ms)
        if told.is_clock:
            self._gate.clock_known()
        if told.battery_percent is not None:
            self._entry.battery_percent = told.battery_percent
            data = {"percent": told.battery_percent}
            self._records += self._statuses.changed("battery", data, mono_ms, wall_ms)
        if told.info is not None:
            self._gate.told(told.info)
            self._entry.info = device_information.merge(self._entry.info, told.info)
            self._show()

    def _reject(self, octets: bytes, reason: str, mono_ms: int) -> None:
        self._entry.count("decode_errors")
        self._entry.last_error = reason
        name = self._gateway.quarantine.put(self._identity, octets, reason, mono_ms)
        data: Data = {
            "count": self._entry.status().counts.decode_errors,
            "octets": len(octets),
            "hash": name,
            "reason": reason[:256],
        }
        wall_ms = self._gateway.clock.wall_ms()
        self._records += self._statuses.quarantine(data, mono_ms, wall_ms)

    # -- time

    def _wait_s(self) -> float | None:
        """How long nothing can happen by itself; None = until something arrives."""
        is_serial = self._profile.transport.serial is not None
        waits = self._held or is_serial or (self._stream is not None and not self._stream.is_empty)
        return TICK_S if waits else None

    def _tick(self) -> None:
        mono_ms, wall_ms = self._gateway.clock.mono_ms(), self._gateway.clock.wall_ms()
        if self._held and self._gate.is_open(mono_ms):
            self._release()
        serial = self._profile.transport.serial
        is_up = self._link.state is LinkState.CONNECTED and not self._is_silent
        if serial is not None and is_up and mono_ms - self._valid_ms > serial.silence_s * 1000:
            self._is_silent = True
            self._interrupt("silent")
            self._show()
        if self._stream is not None:
            self._records += self._stream.tick(mono_ms, wall_ms)

    def _show(self) -> None:
        """Put the state on the board, and a change of the link into a record."""
        state, reason = self._state()
        mono_ms, wall_ms = self._gateway.clock.mono_ms(), self._gateway.clock.wall_ms()
        self._entry.set_state(state, reason, wall_ms)
        if self._acceptance.trouble is None:
            is_stream = self._stream is not None
            self._records += self._statuses.link(state, reason, is_stream, mono_ms, wall_ms)

    def _state(self) -> tuple[str, str | None]:
        if self._acceptance.trouble is not None:
            return self._acceptance.trouble
        if self._gate.is_refusing:
            return "wrong-device", "its serial number is not the one in the settings"
        if self._is_silent:
            return "silent", "the line is open but no valid frame comes: is the device on?"
        return self._link.state, self._link.reason
