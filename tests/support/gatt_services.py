"""One table of every GATT service the gateway reads: a device of each, and what must be stored.

Values are those of the vector files, each of which names its source; the devices with a control
point or a stream of their own are the emulated ones of the lab, whose encoders are not ours.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final, Protocol

import msgspec

from support import health_sensor_ecg, vectors
from support.block_reader import samples
from support.recording_outbox import RecordingOutbox
from support.stored_devices import START, fill, meter, oximeter, sensor
from support.tree import ROOT
from wardlight_edge.profiles import load_file
from wardlight_lab.bluez import Link
from wardlight_lab.devices.ecg_strap import BEAT, RATE, EcgStrap
from wardlight_lab.devices.emulated import EmulatedDevice, Equipment, identity_of
from wardlight_lab.devices.played_device import Played, PlayedDevice, Value
from wardlight_lab.devices.record_access import RecordAccessDevice
from wardlight_lab.physiology.beats import Beats
from wardlight_shared.codes import BY_WIRE
from wardlight_shared.floats import decimal_from_parts
from wardlight_shared.model import ABSENT_BY_CODE
from wardlight_shared.profile import Profile
from wardlight_shared.records import BlockBody, EventBody

_NUMBERS: Final = {"glucose", "glucose_cgm", "spo2", "pulse_rate_oximeter"}
Stored = Counter[tuple[str, str]]
"""How often each (metric, number as text or why there is none) is in the outbox."""

NONIN: Final = "46A970E0-0D5F-11E2-8B5E-0002A5D5C51B"
VIATOM: Final = "14839AC4-7D7E-415C-9A42-167340CF2339"
BERRY: Final = "49535343-FE7D-4AE5-8FA9-9FAFD205E455"
VIATOM_WRITE: Final = "8B00ACE7-EB0B-49B0-BBE9-9AEE0A26E1A3"
VIATOM_REPLY: Final = "0734594A-A8E7-4B1A-A6B1-CD5243059A57"
LIVE_REQUEST: Final = bytes.fromhex("AA17E8000000001B")  # as every driver of the ring sends it


class Bedside(Protocol):
    """A device with what it has measured.

    drop_after  values after which its link is to break, in the middle of what it has to send
    """

    drop_after: int

    @property
    def device(self) -> EmulatedDevice:
        """The device."""

    def measure(self) -> None:
        """Measure something more, and be there for whoever wants it."""

    def is_stored(self, outbox: RecordingOutbox) -> bool:
        """Whether all that was measured is in the outbox, and nothing else."""


@dataclass
class Sending:
    """A device that sends values of a vector file; each call of ``measure`` the same number more.

    values     what it will have measured, and what is to be stored of it
    is_asked   it sends a value for each request, in two notifications
    to_answer  values for the next requests
    """

    device: PlayedDevice
    values: list[tuple[Value, Stored]]
    is_asked: bool = False
    drop_after: int = 1
    to_answer: list[Value] = field(default_factory=list)
    _asked_on: Link | None = None
    _expected: Stored = field(default_factory=Counter)

    def measure(self) -> None:
        """Half of the values."""
        batch = self.values[: (len(self.values) + 1) // 2]
        del self.values[: len(batch)]
        for _, readings in batch:
            self._expected += readings
        if self.is_asked:
            self.to_answer, self._asked_on = [value for value, _ in batch], None
            self.device.start_advertising()
        else:
            self.device.play(value for value, _ in batch)

    def is_stored(self, outbox: RecordingOutbox) -> bool:
        """Each value once."""
        return stored(outbox) == self._expected

    def answer(self, octets: bytes) -> Iterable[Value]:
        """A value in two notifications; the next one, when that came through whole."""
        if octets != LIVE_REQUEST:
            return ()
        if self._asked_on is self.device.link and self.to_answer:
            self.to_answer.pop(0)
        self._asked_on = self.device.link
        if not self.to_answer:
            return ()
        channel, reply = self.to_answer[0]
        return (channel, reply[:9]), (channel, reply[9:])


@dataclass
class Keeping:
    """A device with a memory that is asked for its records."""

    device: RecordAccessDevice
    record: Callable[[int], None]
    drop_after: int
    _count: int = 30

    def measure(self) -> None:
        """30 records at first, then 3."""
        self.record(self._count)
        self._count = 3

    def is_stored(self, outbox: RecordingOutbox) -> bool:
        """Each number of each record once."""
        parts = [part for record in self.device.memory for part in record.parts]
        wanted = [part.values[name] for part in parts for name in _NUMBERS & part.values.keys()]
        found = [value for (_, value), count in stored(outbox).items() for _ in range(count)]
        return sorted(map(Decimal, wanted)) == sorted(map(Decimal, found))


class Strapped:
    """A chest strap with an ECG: some seconds of it on each link."""

    drop_after = 1 + 4 + 3  # the answer, four frames, and pulse rates between them

    def __init__(self) -> None:
        beats = Beats((1024,) * 600, "a beat a second")
        self.device = EcgStrap("patient", beats, equipment=_equipment(), speed=20, ecg_s=4)

        self._earlier = 0

    def measure(self) -> None:
        """It does so while it is worn: a link more is what counts."""
        self._earlier = len(self.device.sent)

    def is_stored(self, outbox: RecordingOutbox) -> bool:
        """Every whole second of each link, sample by sample, with pulse rates beside them."""
        found = outbox.waveforms()
        wanted = sum(count // RATE * RATE for count in self.device.sent)
        rates = sum(
            count for (metric, _), count in stored(outbox).items() if metric == "heart_rate"
        )
        lasts = self.device.sent[-1:] == [_frames_of(4)]
        total = sum(len(each.samples) // 2 for each in found)
        is_more = len(self.device.sent) > self._earlier
        if not (is_more and lasts and total == wanted and rates >= 10):
            return False
        for each in found:
            number = len(each.samples) // 2
            played = [BEAT[place % RATE] for place in range(number)]
            assert [
                each.origin + int.from_bytes(each.samples[at : at + 2], "little", signed=True)
                for at in range(0, 2 * number, 2)
            ] == played, "whole beats, from their first sample"
        return True


class Worn:
    """A Generic Health Sensor with an ECG: 4 s of it, a fifth of a second at a time; it hangs up.

    Each piece comes in notifications of 20 octets; the first link breaks within one.
    """

    drop_after = 13

    def __init__(self) -> None:
        played = Played(0x1840, {"0x2B8B": "notify"})
        self.device = _played("ecg", played, stays=False)
        self._wanted = self._sent = 0

    def measure(self) -> None:
        """4 s more, of which a broken link costs less than two."""
        self._wanted += 2 * RATE
        self.device.play(
            ("0x2B8B", segment)
            for piece in range(self._sent, self._sent + 20)
            for segment in health_sensor_ecg.segments(health_sensor_ecg.piece(piece))
        )
        self._sent += 20

    def is_stored(self, outbox: RecordingOutbox) -> bool:
        """Whole pieces, in order, from any of them on."""
        found = [
            [each.origin + number for number in memoryview(each.samples).cast("h")]
            for each in outbox.waveforms()
        ]
        for each in found:
            assert health_sensor_ecg.is_played(each), "as it was sent, none left out"
        return sum(map(len, found)) >= self._wanted


@dataclass(frozen=True)
class Case:
    """One row of the table.

    service  as a profile names it
    profile  file in firmware-configs
    """

    service: str
    profile: str
    bedside: Callable[[], Bedside]

    @property
    def name(self) -> str:
        """For the reports of pytest."""
        return f"{self.service[:6]} {self.profile}"

    def load(self, *, bond: bool) -> Profile:
        """The profile, in blocks of a second, for a device that is bonded or is not."""
        profile = load_file(ROOT / "firmware-configs" / f"{self.profile}.toml")
        assert profile.transport.ble is not None
        ble = msgspec.structs.replace(profile.transport.ble, bond=bond)
        profile = msgspec.structs.replace(
            profile, transport=msgspec.structs.replace(profile.transport, ble=ble)
        )
        if profile.stream is None:
            return profile
        stream = msgspec.structs.replace(profile.stream, block_s=1)
        return msgspec.structs.replace(profile, stream=stream)


def stored(outbox: RecordingOutbox) -> Stored:
    """Every number of the outbox."""
    found: Stored = Counter()
    for record, body in zip(outbox.records, outbox.bodies(), strict=True):
        match body:
            case EventBody():
                absents = body.absents or [0] * len(body.series)
                for series, mantissa, scale, absent in zip(
                    body.series, body.mantissas, body.scales, absents, strict=True
                ):
                    why = ABSENT_BY_CODE[absent]
                    value = why or decimal_from_parts(mantissa, scale)
                    found[BY_WIRE[outbox.key(series).metric].name, str(value)] += 1
            case BlockBody():
                columns = [column.series for group in body.groups for column in group.columns]
                factors = {series: outbox.key(series).factor for series in columns}
                for sample in samples(body, record.mono_ms, factors):
                    metric = BY_WIRE[outbox.key(sample.series).metric].name
                    found[metric, str(sample.value)] += 1
    return found


def _equipment() -> Equipment:
    return Equipment(advertising_interval_s=0.05)


def _of_vectors(
    decoder: str, channel: str, *, least: int = 3, most: int = 8
) -> list[tuple[Value, Stored]]:
    """Values of a channel that give readings without a quirk or an option, no two alike.

    Those with a time come first: what carries none and was not confirmed is sent again, and nobody
    can tell it from a second measurement.
    """
    found: dict[bytes, tuple[Value, Stored]] = {}
    plain = {"name", "source", "characteristic", "hex", "expect", "after", "samples", "whole_at"}
    for case in vectors.cases(decoder):
        if case.get("characteristic") == channel and case.get("expect") and plain.issuperset(case):
            readings = Counter(
                (each["metric"], each["absent"] if "absent" in each else each["value"])
                for each in (*case["expect"], *case.get("after", ()))
            )
            octets = vectors.octets(case)
            found.setdefault(octets, ((channel, octets), readings))
    timed = [each for each in found.values() if each[0][1] in _timed(decoder)]
    values = [*timed, *(each for each in found.values() if each not in timed)][:most]
    assert len(values) >= least, (
        f"{decoder} {channel}: too few vectors to break a link in the middle"
    )
    return values


def _timed(decoder: str) -> set[bytes]:
    return {
        vectors.octets(case)
        for case in vectors.cases(decoder)
        if any(
            "time" in each and "DEVICE_CLOCK_UNSET" not in each.get("flags", ())
            for each in case.get("expect", ())
        )
    }


def _sending(
    service: int | str, decoder: str, channel: str, how: str, *, stays: bool = False
) -> Callable[[], Bedside]:
    def make() -> Bedside:
        played = Played(service, {channel: how})
        return Sending(_played(decoder, played, stays=stays), _of_vectors(decoder, channel))

    return make


def _played(decoder: str, played: Played, *, stays: bool) -> PlayedDevice:
    identity = identity_of("patient", decoder, "WL", "Wardlight Lab", "played")
    return PlayedDevice(identity, _equipment(), played, stays=stays)


def _ring() -> Bedside:
    """Viatom: a value for each request, in notifications of 9 and 13 octets."""
    values = _of_vectors("viatom_o2", VIATOM_REPLY, least=2) * 2
    bedside = Sending(_played("o2", Played(VIATOM, {VIATOM_REPLY: "notify"}), stays=True), values)
    bedside.is_asked, bedside.drop_after = True, 3
    played = Played(VIATOM, {VIATOM_REPLY: "notify"}, VIATOM_WRITE, bedside.answer)
    bedside.device = _played("viatom_o2", played, stays=True)
    return bedside


def _bci() -> Bedside:
    """Berry: a second of one frame each, in notifications of 20 frames."""
    channel = "49535343-1E4D-4BD9-BA61-23C647249616"
    return Sending(
        _played("berry_bci", Played(BERRY, {channel: "notify"}), stays=True),
        [
            ((channel, octets * (100 * 5 // len(octets))), readings)
            for (_, octets), readings in _of_vectors("berry_bci", channel)
        ],
    )


def _meter() -> Bedside:
    device = meter()
    return Keeping(device, lambda count: fill(device, count), 1 + 12)


def _sensor() -> Bedside:
    device = sensor(datetime.now(UTC).replace(microsecond=0) - timedelta(days=1))

    def record(count: int) -> None:
        for _ in range(count):
            device.measure()

    # A notification holds three records; the count and the interval were indicated before.
    return Keeping(device, record, 2 + 4)


def _oximeter() -> Bedside:
    device = oximeter()

    def record(count: int) -> None:
        already = len(device.memory)
        for place in range(already, already + count):
            device.measure(START + timedelta(minutes=place))

    return Keeping(device, record, 1 + 11)


CASES: Final = (
    Case("0x1808", "generic-glucose", _meter),
    Case(
        "0x1809",
        "generic-health-thermometer",
        _sending(0x1809, "health_thermometer", "0x2A1C", "indicate"),
    ),
    Case(
        "0x180D",
        "generic-heart-rate",
        _sending(0x180D, "heart_rate", "0x2A37", "notify", stays=True),
    ),
    Case("0x180D", "polar-h10-ecg", Strapped),
    Case(
        "0x1810", "generic-blood-pressure", _sending(0x1810, "blood_pressure", "0x2A35", "indicate")
    ),
    Case(
        "0x1810",
        "generic-blood-pressure-enhanced",
        _sending(0x1810, "blood_pressure", "0x2B34", "indicate"),
    ),
    Case(
        "0x181B",
        "generic-body-composition",
        _sending(0x181B, "body_composition", "0x2A9C", "indicate"),
    ),
    Case("0x181D", "generic-weight-scale", _sending(0x181D, "weight_scale", "0x2A9D", "indicate")),
    Case("0x181F", "generic-cgm", _sensor),
    Case(
        "0x1822",
        "generic-pulse-oximeter-spot",
        _sending(0x1822, "pulse_oximeter", "0x2A5E", "indicate"),
    ),
    Case(
        "0x1822",
        "generic-pulse-oximeter",
        _sending(0x1822, "pulse_oximeter", "0x2A5F", "notify", stays=True),
    ),
    Case("0x1822", "generic-pulse-oximeter-stored", _oximeter),
    Case(
        "0x1840",
        "generic-health-sensor",
        _sending(0x1840, "generic_health_sensor", "0x2B8B", "indicate"),
    ),
    Case("0x1840", "generic-health-sensor-waveform", Worn),
    Case(
        NONIN,
        "nonin-3150-ble",
        _sending(
            NONIN, "nonin_oximetry", "0AAD7EA0-0D60-11E2-8E3C-0002A5D5C51B", "notify", stays=True
        ),
    ),
    Case(VIATOM, "viatom-o2ring", _ring),
    Case(BERRY, "berry-bm1000", _bci),
)
"""Every service of a profile; its companions 180A, 180F, 1805 and 2A08 have tests of their own."""


def _frames_of(seconds: int) -> int:
    """Samples of the frames that a stream of some seconds takes."""
    return -(-seconds * RATE // 73) * 73
