"""The twenty devices of the soak, with the profiles of firmware-configs/."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from wardlight_edge.profiles import load_file
from wardlight_edge.sessions.gateway import Gateway
from wardlight_lab.bench.setting import CHECKOUT
from wardlight_lab.bluez import Pairing
from wardlight_lab.devices.blood_pressure_cuff import BloodPressureCuff
from wardlight_lab.devices.ecg_strap import EcgStrap
from wardlight_lab.devices.emulated import Equipment
from wardlight_lab.devices.glucose_meter import GlucoseMeter
from wardlight_lab.devices.heart_rate_strap import HeartRateStrap
from wardlight_lab.devices.patient import PatientVitals
from wardlight_lab.devices.pulse_oximeter import PulseOximeter
from wardlight_lab.devices.thermometer import Thermometer
from wardlight_lab.devices.weight_scale import WeightScale
from wardlight_lab.physiology.beats import Beats
from wardlight_lab.serialport.oximeter import NoninOximeter
from wardlight_lab.soak.bedside import Asked, Bedside, Episodic, OnLine, Place, Worn, WornEcg
from wardlight_lab.soak.clock import SteppedClock, SteppedDeviceClock

OXIMETERS, STRAPS, CUFFS, THERMOMETERS, SCALES, METERS = 7, 3, 3, 2, 1, 2
HOUR_S: Final = 3600
# Intervals of 1/1024 s as a resting heart has them; a list of its own length for each second would
# fall into step with the blocks.
_BEATS: Final = Beats((861, 874, 850, 902, 893, 840, 866), "by hand")


class _Room(NamedTuple):
    """What all devices of the ward share."""

    gateway: Gateway
    clock: SteppedClock

    def equipment(self) -> Equipment:
        """Of a device that keeps the ward's time and does not pair."""
        return Equipment(clock=SteppedDeviceClock(self.clock), pairing=Pairing.NONE)

    def place(self, identity: str, profile: str) -> Place:
        """For a device with this file of firmware-configs/."""
        file = CHECKOUT / "firmware-configs" / f"{profile}.toml"
        return Place(identity, load_file(file), self.gateway, self.clock)


def ward(gateway: Gateway, clock: SteppedClock) -> list[Bedside]:
    """Every device with its session."""
    room = _Room(gateway, clock)
    return [
        *_oximeters(room),
        *_straps(room),
        _ecg(room),
        _line(room),
        *_stored(room),
        *_meters(room),
    ]


def _oximeters(room: _Room) -> Iterator[Bedside]:
    for number in range(OXIMETERS):
        name = f"oximeter-{number}"
        device = PulseOximeter(name, PatientVitals(name), equipment=room.equipment())
        place = room.place(device.identity_text, "generic-pulse-oximeter")
        yield Worn(place, device, numbers_of=lambda _: 3, away_at=300 + 240 * number)


def _straps(room: _Room) -> Iterator[Bedside]:
    for number in range(STRAPS):
        strap = HeartRateStrap(f"strap-{number}", _BEATS, equipment=room.equipment(), repeat=True)
        place = room.place(strap.identity_text, "polar-h10")
        yield Worn(place, strap, numbers_of=_beats_in, away_at=600 + 300 * number)


def _ecg(room: _Room) -> Bedside:
    # The answer alone is the emulation's; the samples are handed over as time is stepped.
    strap = EcgStrap("ecg", _BEATS, equipment=room.equipment(), repeat=True, ecg_s=0)
    place = room.place(strap.identity_text, "polar-h10-ecg")
    return WornEcg(place, strap, numbers_of=_beats_in, away_at=1300)


def _line(room: _Room) -> Bedside:
    oximeter = NoninOximeter(PatientVitals("bed"), clock=SteppedDeviceClock(room.clock))
    return OnLine(room.place("serial:bed", "nonin-xpod"), oximeter)


def _stored(room: _Room) -> Iterator[Bedside]:
    for number in range(CUFFS):
        name = f"cuff-{number}"
        cuff = BloodPressureCuff(name, PatientVitals(name), equipment=room.equipment())
        place = room.place(cuff.identity_text, "generic-blood-pressure")
        first_s = 120 + 400 * number
        yield Episodic(place, cuff, every_s=HOUR_S // 2, first_s=first_s, numbers_each=4)
    for number in range(THERMOMETERS):
        name = f"thermometer-{number}"
        thermometer = Thermometer(name, PatientVitals(name), equipment=room.equipment())
        place = room.place(thermometer.identity_text, "generic-health-thermometer")
        first_s = 700 + 900 * number
        yield Episodic(place, thermometer, every_s=HOUR_S, first_s=first_s, numbers_each=1)
    for number in range(SCALES):
        name = f"scale-{number}"
        scale = WeightScale(name, PatientVitals(name), equipment=room.equipment())
        place = room.place(scale.identity_text, "generic-weight-scale")
        yield Episodic(place, scale, every_s=HOUR_S, first_s=200, numbers_each=1)


def _meters(room: _Room) -> Iterator[Bedside]:
    for number in range(METERS):
        meter = GlucoseMeter(f"meter-{number}", equipment=room.equipment())
        place = room.place(meter.identity_text, "generic-glucose")
        yield Asked(place, meter, every_s=HOUR_S, first_s=1000 + 400 * number)


def _beats_in(heart_rate: bytes) -> int:
    """The rate and the intervals of a Heart Rate Measurement with an 8-bit rate."""
    return 1 + (len(heart_rate) - 2) // 2
