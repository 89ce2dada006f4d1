"""The twenty devices of the soak, with the profiles of firmware-configs/."""

from collections.abc import Iterator
from typing import Final

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
from wardlight_lab.devices.stored_records import StoredRecordDevice
from wardlight_lab.devices.thermometer import Thermometer
from wardlight_lab.devices.weight_scale import WeightScale
from wardlight_lab.physiology.beats import Beats
from wardlight_lab.serialport.oximeter import NoninOximeter
from wardlight_lab.soak.bedside import Asked, Bedside, Episodic, OnLine, Worn, WornEcg
from wardlight_lab.soak.clock import SteppedClock, SteppedDeviceClock
from wardlight_shared.profile import Profile

OXIMETERS, STRAPS, CUFFS, THERMOMETERS, SCALES, METERS = 7, 3, 3, 2, 1, 2
HOUR_S: Final = 3600
# Intervals of 1/1024 s as a resting heart has them; a list of its own length for each second would
# fall into step with the blocks.
_BEATS: Final = Beats((861, 874, 850, 902, 893, 840, 866), "by hand")


def ward(gateway: Gateway, clock: SteppedClock) -> list[Bedside]:
    """Every device with its session."""
    return [
        *_oximeters(gateway, clock),
        *_straps(gateway, clock),
        _ecg(gateway, clock),
        _line(gateway, clock),
        *_stored(gateway, clock),
        *_meters(gateway, clock),
    ]


def _oximeters(gateway: Gateway, clock: SteppedClock) -> Iterator[Bedside]:
    profile = _profile("generic-pulse-oximeter")
    for number in range(OXIMETERS):
        name = f"oximeter-{number}"
        device = PulseOximeter(name, PatientVitals(name), equipment=_equipment(clock))
        yield Worn(
            _identity(device.address),
            profile,
            gateway,
            clock,
            device,
            numbers_of=lambda _: 3,
            away_at=300 + 240 * number,
        )


def _straps(gateway: Gateway, clock: SteppedClock) -> Iterator[Bedside]:
    profile = _profile("polar-h10")
    for number in range(STRAPS):
        strap = HeartRateStrap(f"strap-{number}", _BEATS, equipment=_equipment(clock), repeat=True)
        yield Worn(
            _identity(strap.address),
            profile,
            gateway,
            clock,
            strap,
            numbers_of=_beats_in,
            away_at=600 + 300 * number,
        )


def _ecg(gateway: Gateway, clock: SteppedClock) -> Bedside:
    # The answer alone is the emulation's; the samples are handed over as time is stepped.
    strap = EcgStrap("ecg", _BEATS, equipment=_equipment(clock), repeat=True, ecg_s=0)
    profile = _profile("polar-h10-ecg")
    return WornEcg(
        _identity(strap.address),
        profile,
        gateway,
        clock,
        strap,
        numbers_of=_beats_in,
        away_at=1300,
    )


def _line(gateway: Gateway, clock: SteppedClock) -> Bedside:
    device_clock = SteppedDeviceClock(clock)
    oximeter = NoninOximeter(PatientVitals("bed"), clock=device_clock)
    return OnLine("serial:bed", _profile("nonin-xpod"), gateway, clock, oximeter)


def _stored(gateway: Gateway, clock: SteppedClock) -> Iterator[Bedside]:
    for number in range(CUFFS):
        name = f"cuff-{number}"
        cuff = BloodPressureCuff(name, PatientVitals(name), equipment=_equipment(clock))
        profile = _profile("generic-blood-pressure")
        yield _episodic(profile, gateway, clock, cuff, HOUR_S // 2, 120 + 400 * number, 4)
    for number in range(THERMOMETERS):
        name = f"thermometer-{number}"
        thermometer = Thermometer(name, PatientVitals(name), equipment=_equipment(clock))
        profile = _profile("generic-health-thermometer")
        yield _episodic(profile, gateway, clock, thermometer, HOUR_S, 700 + 900 * number, 1)
    for number in range(SCALES):
        name = f"scale-{number}"
        scale = WeightScale(name, PatientVitals(name), equipment=_equipment(clock))
        profile = _profile("generic-weight-scale")
        yield _episodic(profile, gateway, clock, scale, HOUR_S, 200, 1)


def _episodic(
    profile: Profile,
    gateway: Gateway,
    clock: SteppedClock,
    device: StoredRecordDevice,
    every_s: int,
    first_s: int,
    numbers_each: int,
) -> Bedside:
    return Episodic(
        _identity(device.address),
        profile,
        gateway,
        clock,
        device,
        every_s=every_s,
        first_s=first_s,
        numbers_each=numbers_each,
    )


def _meters(gateway: Gateway, clock: SteppedClock) -> Iterator[Bedside]:
    profile = _profile("generic-glucose")
    for number in range(METERS):
        meter = GlucoseMeter(f"meter-{number}", equipment=_equipment(clock))
        yield Asked(
            _identity(meter.address),
            profile,
            gateway,
            clock,
            meter,
            every_s=HOUR_S,
            first_s=1000 + 400 * number,
        )


def _beats_in(heart_rate: bytes) -> int:
    """The rate and the intervals of a Heart Rate Measurement with an 8-bit rate."""
    return 1 + (len(heart_rate) - 2) // 2


def _equipment(clock: SteppedClock) -> Equipment:
    return Equipment(clock=SteppedDeviceClock(clock), pairing=Pairing.NONE)


def _identity(address: str) -> str:
    return "ble:" + address.replace(":", "")


def _profile(name: str) -> Profile:
    return load_file(CHECKOUT / "firmware-configs" / f"{name}.toml")
