"""A session with an outbox in memory and a clock moved by hand, and devices for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

from support.manual_clock import ManualClock
from support.recording_outbox import RecordingOutbox
from support.waiting import wait_until
from wardlight_edge.config import DeviceSettings
from wardlight_edge.sessions.board import DeviceEntry
from wardlight_edge.sessions.gateway import Gateway
from wardlight_edge.sessions.open_streams import OpenStreams
from wardlight_edge.sessions.quarantine import Quarantine
from wardlight_edge.sessions.sealing import Sealer
from wardlight_edge.sessions.session import Session
from wardlight_edge.sessions.waiting_room import Vault
from wardlight_edge.transports.base import (
    Arrival,
    LinkChange,
    LinkState,
    Octets,
    ReadsDone,
    Receiver,
)
from wardlight_shared.profile import Profile, parse

CUFF = parse(
    """
schema = 1
decoder = "blood_pressure"
device = { manufacturer = "m", model = "cuff" }
[transport.ble]
indicate = ["0x2A35"]
read_once = ["0x2A25", "0x2A19", "0x2A2B"]
[[metric]]
name = "systolic_bp"
plausible = [60, 250]
alarm_high = 180
""",
    source="cuff.toml",
)
STRAP = parse(
    """
schema = 1
decoder = "heart_rate"
device = { manufacturer = "m", model = "strap" }
stream = {}
transport = { ble = { notify = ["0x2A37"], stay_connected = true } }
[[metric]]
name = "heart_rate"
alarm_high = 130
""",
    source="strap.toml",
)
THERMOMETER = parse(
    """
schema = 1
decoder = "health_thermometer"
device = { manufacturer = "m", model = "thermometer" }
transport = { ble = { indicate = ["0x2A1C"], read_once = ["0x2A1D"] } }
[[metric]]
name = "body_temperature"
""",
    source="thermometer.toml",
)
IDENTITY = "ble:E00000000001"
# 120/80 mmHg, mean 93, 2026-08-01 07:30:00 (hand made from BLS 3.1.1)
BP = bytes.fromhex("02 7800 5000 5D00 EA07 08 01 07 1E 00")
BP_HIGH = bytes.fromhex("00 B400 5000 5D00")  # 180 mmHg, no time
BP_IMPLAUSIBLE = bytes.fromhex("00 2C01 5000 5D00")  # 300 mmHg
CLOCK = bytes.fromhex("EA07 08 01 07 28 00 06 00 00")  # 07:40:00


class Accepting:
    """A transport that only remembers what was accepted."""

    def __init__(self) -> None:
        self.tokens: list[int] = []

    async def run(self, receiver: Receiver) -> None:
        del receiver

    def accepted(self, token: int) -> None:
        self.tokens.append(token)


class SessionBench:
    """A session under test.

    outbox, clock  those of an earlier life, to begin another one of the same gateway
    """

    def __init__(
        self,
        folder: Path,
        profile: Profile,
        serial_number: str | None = None,
        *,
        is_first_use: bool = False,
        outbox: RecordingOutbox | None = None,
        clock: ManualClock | None = None,
    ) -> None:
        self.clock = clock or ManualClock()
        self.outbox = outbox or RecordingOutbox()
        self._marks = count(1)
        sealer = Sealer(bytes(32))
        self.live_until_ms: int | None = None
        self.entry = DeviceEntry(IDENTITY, "profile")
        self.gateway = Gateway(
            outbox=self.outbox,
            clock=self.clock,
            quarantine=Quarantine(folder / "quarantine", None),
            open_streams=OpenStreams(folder / "streams.json", self.clock.boot_id),
            live_until=lambda: self.live_until_ms,
            is_clock_trusted=lambda: True,
            retry_s=0.01,
            vault=Vault(folder / "waiting", sealer.seal, sealer.open_sealed),
            bound=lambda *bound: self.bound.append(bound),
        )
        self.bound: list[tuple[str, str | None]] = []
        device = DeviceSettings(
            identity=IDENTITY,
            profile="profile",
            serial_number=serial_number,
            bind="first-use" if is_first_use else "address",
        )
        self.session = Session(device, profile, self.gateway, self.entry)
        self.transport = Accepting()

    def octets(
        self, octets: bytes, channel: str = "0x2A35", *, is_read: bool = False, token: int = 0
    ) -> None:
        """Something arrives now."""
        mono_ms, wall_ms = self.clock.mono_ms(), self.clock.wall_ms()
        self.put(Octets(channel, octets, mono_ms, wall_ms, is_read, token=token or None))

    def link(self, state: LinkState, reason: str | None = None) -> None:
        """The link changes now."""
        self.put(LinkChange(state, self.clock.mono_ms(), reason))

    def put(self, arrival: Arrival) -> None:
        self.session.inbox.offer(arrival)

    async def settled(self) -> None:
        """Return when everything that has arrived was worked through and committed.

        A battery level that was not said before goes through behind it and leaves a record.
        """
        percent = 100 - next(self._marks)
        self.octets(bytes([percent]), "0x2A19", is_read=True)

        def is_said() -> bool:
            said = self.outbox.statuses("battery")
            return any(each.data["percent"] == percent for each in said)

        await wait_until(is_said)

    def connect(self) -> None:
        """The link comes up and there is nothing to read on it."""
        self.link(LinkState.CONNECTED)
        self.put(ReadsDone(self.clock.mono_ms()))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The session consumes; at the end its inbox is closed and it finishes."""
        task = asyncio.create_task(self.session.run(self.transport))
        try:
            yield
        finally:
            self.session.inbox.close()
            await asyncio.wait_for(task, 180)
