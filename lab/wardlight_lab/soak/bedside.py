"""What stands beside one session: an emulated device, its way, and what it has sent so far.

A ``Bedside`` is told each second that passes. It counts what it hands over, in the terms of the
collector: numbers (missing ones too) and waveform samples.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from wardlight_edge.config import DeviceSettings
from wardlight_edge.sessions.board import DeviceEntry
from wardlight_edge.sessions.gateway import Gateway
from wardlight_edge.sessions.session import Session
from wardlight_edge.transports.adverts import short_uuid
from wardlight_edge.transports.base import LinkState
from wardlight_lab.bluez import Peripheral
from wardlight_lab.devices.ecg_strap import DATA as ECG_DATA
from wardlight_lab.devices.ecg_strap import RATE, SAMPLES_A_FRAME, EcgStrap
from wardlight_lab.devices.glucose_meter import GlucoseMeter
from wardlight_lab.devices.stored_records import StoredRecordDevice
from wardlight_lab.devices.streaming import StreamingDevice
from wardlight_lab.serialport.oximeter import NoninOximeter
from wardlight_lab.soak.air import Air
from wardlight_lab.soak.clock import SteppedClock
from wardlight_shared.profile import Profile

LAG_MS: Final = 3000  # a line's framer waits for the next frame before it lets one go


@dataclass(frozen=True, slots=True)
class Place:
    """Where a device stands: what it is called and how it is read, in which gateway's time."""

    identity: str
    profile: Profile
    gateway: Gateway
    clock: SteppedClock


class Bedside(ABC):
    """One device with its session.

    numbers, samples  what it handed over
    """

    def __init__(self, place: Place, device: Peripheral | None = None) -> None:
        self.identity, self.profile = place.identity, place.profile
        decoder = self.profile.decoder
        self.entry = DeviceEntry(self.identity, decoder)
        settings = DeviceSettings(identity=self.identity, profile=decoder)
        self.session = Session(settings, self.profile, place.gateway, self.entry)
        self.clock = place.clock
        self.air = Air(self.clock, device)
        self.numbers = 0
        self.samples = 0

    @abstractmethod
    async def second(self, number: int) -> None:
        """Second ``number`` has passed."""

    @property
    def is_behind(self) -> bool:
        """Whether its session has not worked through what it was given."""
        return False

    @property
    def framed(self) -> int:
        """Numbers that may wait in the framing of a line for what follows them."""
        return 0

    def finish(self) -> None:
        """The last link ends."""
        if self.air.is_up:
            self.air.disconnect(LinkState.LOST)

    @property
    def channels(self) -> tuple[str, ...]:
        """What is read on each link."""
        ble = self.profile.transport.ble
        return () if ble is None else ble.read_once


class Worn(Bedside):
    """A device that sends each second while it is worn, and is out of reach now and then.

    device      gives the next value
    numbers_of  how many numbers such a value holds
    away_at     second of the hour at which it is out of reach, for ``away_s``
    """

    def __init__(
        self,
        place: Place,
        device: StreamingDevice,
        *,
        numbers_of: Callable[[bytes], int],
        away_at: int,
        away_s: int = 90,
    ) -> None:
        super().__init__(place, device)
        self._device = device
        self._numbers_of = numbers_of
        self._away = range(away_at, away_at + away_s)
        self._sent_ms = 0

    async def second(self, number: int) -> None:
        """Send, or be away."""
        is_away = number % 3600 in self._away
        if is_away and self.air.is_up:
            self.air.disconnect(LinkState.LOST)
        if is_away:
            return
        if not number:
            await self._device.run()  # it loads what it plays
        if not self.air.is_up:
            self.air.connect()
            await self.air.read(self.channels)
        self.send()

    def send(self) -> None:
        """The value of this second."""
        value = self._device.next_value()
        if value is None:
            return
        self.air.send(short_uuid(self._device.measurement), value[0])
        self.numbers += self._numbers_of(value[0])
        self._sent_ms = self.clock.mono_ms()

    @property
    def is_behind(self) -> bool:
        """Whether what was sent last was not taken yet."""
        last_ms = 0 if self.entry.last_data is None else self.entry.last_data[0]
        return last_ms < self._sent_ms


class WornEcg(Worn):
    """A strap with an ECG: frames as they fill, whole seconds of each link are stored."""

    def __init__(
        self,
        place: Place,
        strap: EcgStrap,
        *,
        numbers_of: Callable[[bytes], int],
        away_at: int,
    ) -> None:
        super().__init__(place, strap, numbers_of=numbers_of, away_at=away_at)
        self._strap = strap
        self._links = 0
        self._owed = 0

    def send(self) -> None:
        """The frames that are full, then the pulse rate."""
        if len(self._strap.sent) > self._links:
            self._links, self._owed = len(self._strap.sent), 0
        if self._strap.is_playing:
            self._owed += RATE
        while self._strap.is_playing and self._owed >= SAMPLES_A_FRAME:
            self.air.send(short_uuid(ECG_DATA), self._strap.next_frame())
            self._owed -= SAMPLES_A_FRAME
        self.samples = sum(count // RATE * RATE for count in self._strap.sent)
        super().send()


class OnLine(Bedside):
    """A serial oximeter: 75 frames a second, three packets."""

    def __init__(
        self,
        place: Place,
        oximeter: NoninOximeter,
    ) -> None:
        super().__init__(place)
        self._packets = oximeter.packets()
        self._sent_ms = 0

    async def second(self, number: int) -> None:
        """A second of the line."""
        del number
        if not self.air.is_up:
            self.air.connect()
        self.air.send("", b"".join(next(self._packets)[0] for _ in range(3)))
        self.numbers += 2
        self._sent_ms = self.clock.mono_ms()

    @property
    def framed(self) -> int:
        """A second."""
        return 2

    @property
    def is_behind(self) -> bool:
        """Whether its session lags by more than a framer does."""
        last_ms = self._sent_ms if self.entry.last_data is None else self.entry.last_data[0]
        return last_ms < self._sent_ms - LAG_MS


class NowAndThen(Bedside):
    """A device that is silent but for a visit at second ``first_s`` of every ``every_s``."""

    def __init__(self, place: Place, device: Peripheral, *, every_s: int, first_s: int) -> None:
        super().__init__(place, device)
        self._every_s = every_s
        self._first_s = first_s

    async def second(self, number: int) -> None:
        """A visit, when it is time."""
        if number % self._every_s == self._first_s:
            await self.visit()
            self.air.disconnect(LinkState.WAITING)

    @abstractmethod
    async def visit(self) -> None:
        """Measure, connect and give what there is."""


class Episodic(NowAndThen):
    """A cuff, thermometer or scale: measures now and then, sends and hangs up."""

    def __init__(
        self,
        place: Place,
        device: StoredRecordDevice,
        *,
        every_s: int,
        first_s: int,
        numbers_each: int,
    ) -> None:
        super().__init__(place, device, every_s=every_s, first_s=first_s)
        self._device = device
        self._numbers_each = numbers_each

    async def visit(self) -> None:
        """One value of now, one of a few minutes before."""
        self.air.connect()
        now = self._device.clock.now()
        for at in (now - timedelta(minutes=4), now):
            record = self._device.take_record(at)
            self.air.send(short_uuid(self._device.measurement), record.payload)
            self.numbers += self._numbers_each
        await self.air.read(self.channels)


class Asked(NowAndThen):
    """A glucose meter: asked for its records a few times a day."""

    def __init__(self, place: Place, device: GlucoseMeter, *, every_s: int, first_s: int) -> None:
        super().__init__(place, device, every_s=every_s, first_s=first_s)
        self._device = device

    async def visit(self) -> None:
        """Measure twice, then give what the gateway asks for."""
        now = self._device.clock.now()
        for at in (now - timedelta(minutes=30), now):
            self._device.measure(at)
            self.numbers += 1
        self.air.connect()
        await self.air.read(self.channels)
        await self.air.until_left()
