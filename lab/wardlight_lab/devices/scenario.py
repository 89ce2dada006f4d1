"""A scenario: which emulated devices there are, for whom, and how they behave.

In      TOML, or JSON with the same keys:

        adapters = ["hci0"]
        timing = "lifelike"                 # or "instant"
        utc_offset_minutes = 120            # what the wall clocks of the devices show

        [patient.ward-1]                    # label of the patient, and seed of the values
        systolic = 138                      # what differs from the usual Baseline

        [[device]]
        kind = "blood_pressure_cuff"        # a key of BUILDERS
        patient = "ward-1"
        every_s = 45                        # schedule; left out: only on demand

Out     EmulatedDevice objects, ready for FakeBluez.add
Errors  ScenarioError: what is wrong, and where
"""

from collections.abc import Callable
from datetime import timedelta, timezone
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from wardlight_lab.bluez import INSTANT, LIFELIKE, EmulationError, Pairing, Timing
from wardlight_lab.devices.blood_pressure_cuff import BloodPressureCuff
from wardlight_lab.devices.cgm_sensor import CgmSensor
from wardlight_lab.devices.emulated import EmulatedDevice, Equipment
from wardlight_lab.devices.encoding import DeviceClock
from wardlight_lab.devices.glucose_meter import GlucoseMeter
from wardlight_lab.devices.heart_rate_strap import HeartRateStrap
from wardlight_lab.devices.ledger import Ledger
from wardlight_lab.devices.patient import Baseline, PatientVitals
from wardlight_lab.devices.pulse_oximeter import PulseOximeter, SpotPulseOximeter
from wardlight_lab.devices.record_access import ALL, Access
from wardlight_lab.devices.stored_oximeter import StoredOximeter
from wardlight_lab.devices.stored_records import Habit
from wardlight_lab.devices.thermometer import Thermometer
from wardlight_lab.devices.weight_scale import WeightScale
from wardlight_lab.physiology.ecg import recorded_beats

WARD: Final = Path(__file__).with_name("ward.toml")

Positive = Annotated[float, msgspec.Meta(gt=0)]


class ScenarioError(EmulationError):
    """The scenario cannot be read or built."""


class DeviceSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One device of a scenario.

    address         fixed address; left out, it follows from patient and kind
    every_s         seconds between measurements (devices that store records)
    first_after_s   seconds to the first measurement
    speed           how much faster than real time a stream runs
    repeat          whether a recording starts again at its end
    pairing         how it pairs; left out, as such devices usually do
    clock_skew_s    how far its clock is ahead
    """

    kind: str
    patient: str
    address: str = ""
    every_s: Positive | None = None
    first_after_s: float = 0.0
    advertise_s: Positive = 30.0
    linger_s: float = 3.0
    speed: Positive = 1.0
    repeat: bool = True
    pairing: Pairing | None = None
    passkey: int = 0
    battery: int = 87
    user: int | None = None
    clock_skew_s: float = 0.0


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A set of devices and the machine they are near to."""

    device: tuple[DeviceSpec, ...]
    patient: dict[str, Baseline] = {}
    adapters: tuple[str, ...] = ("hci0",)
    timing: Literal["instant", "lifelike"] = "lifelike"
    utc_offset_minutes: int = 0

    @property
    def durations(self) -> Timing:
        """The Timing the scenario names."""
        return INSTANT if self.timing == "instant" else LIFELIKE


def read_scenario(path: Path) -> Scenario:
    """Read a scenario file; the suffix says whether it is TOML or JSON."""
    decode = msgspec.json.decode if path.suffix == ".json" else msgspec.toml.decode
    try:
        return decode(path.read_bytes(), type=Scenario)
    except OSError as error:
        raise ScenarioError(f"{path}: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise ScenarioError(f"{path}: {error}") from error


def build(scenario: Scenario, ledger: Ledger) -> list[EmulatedDevice]:
    """The devices of a scenario, all writing to one ledger."""
    zone = timezone(timedelta(minutes=scenario.utc_offset_minutes))
    return [
        _build_one(spec, scenario.patient.get(spec.patient, Baseline()), zone, ledger)
        for spec in scenario.device
    ]


def _build_one(
    spec: DeviceSpec, baseline: Baseline, zone: timezone, ledger: Ledger
) -> EmulatedDevice:
    if spec.kind not in BUILDERS:
        raise ScenarioError(f"device kind {spec.kind!r} is none of {', '.join(BUILDERS)}")
    equipment = Equipment(
        clock=DeviceClock(zone, timedelta(seconds=spec.clock_skew_s)),
        ledger=ledger,
        passkey=spec.passkey,
        battery=spec.battery,
    )
    if spec.pairing is not None:
        equipment.pairing = spec.pairing
    elif spec.kind == "heart_rate_strap":
        equipment.pairing = Pairing.NONE
    device = BUILDERS[spec.kind](spec, PatientVitals(spec.patient, baseline), equipment)
    if spec.address:
        device.address = spec.address.upper()
    return device


def _habit(spec: DeviceSpec) -> Habit:
    return Habit(spec.every_s, spec.first_after_s, spec.advertise_s, spec.linger_s)


def _cuff(spec: DeviceSpec, vitals: PatientVitals, equipment: Equipment) -> EmulatedDevice:
    return BloodPressureCuff(
        spec.patient, vitals, equipment=equipment, habit=_habit(spec), user=spec.user
    )


def _thermometer(spec: DeviceSpec, vitals: PatientVitals, equipment: Equipment) -> EmulatedDevice:
    return Thermometer(spec.patient, vitals, equipment=equipment, habit=_habit(spec))


def _scale(spec: DeviceSpec, vitals: PatientVitals, equipment: Equipment) -> EmulatedDevice:
    return WeightScale(
        spec.patient, vitals, equipment=equipment, habit=_habit(spec), user=spec.user
    )


def _oximeter(spec: DeviceSpec, vitals: PatientVitals, equipment: Equipment) -> EmulatedDevice:
    return PulseOximeter(spec.patient, vitals, equipment=equipment, speed=spec.speed)


def _spot_oximeter(spec: DeviceSpec, vitals: PatientVitals, equipment: Equipment) -> EmulatedDevice:
    return SpotPulseOximeter(spec.patient, vitals, equipment=equipment, habit=_habit(spec))


def _strap(spec: DeviceSpec, vitals: PatientVitals, equipment: Equipment) -> EmulatedDevice:
    del vitals  # the beats are recorded
    return HeartRateStrap(
        spec.patient,
        recorded_beats,
        equipment=equipment,
        speed=spec.speed,
        repeat=spec.repeat,
    )


def _access(spec: DeviceSpec) -> Access:
    return Access(spec.every_s, spec.first_after_s, advertise=spec.advertise_s)


def _meter(spec: DeviceSpec, vitals: PatientVitals, equipment: Equipment) -> EmulatedDevice:
    del vitals  # its values follow from its record numbers
    return GlucoseMeter(spec.patient, equipment=equipment, access=_access(spec))


def _glucose_sensor(
    spec: DeviceSpec, vitals: PatientVitals, equipment: Equipment
) -> EmulatedDevice:
    del vitals
    started = equipment.clock.now()
    return CgmSensor(spec.patient, started, equipment=equipment, access=_access(spec))


def _stored_oximeter(
    spec: DeviceSpec, vitals: PatientVitals, equipment: Equipment
) -> EmulatedDevice:
    access = _access(spec)
    access.operators = frozenset({ALL})
    return StoredOximeter(spec.patient, vitals, equipment=equipment, access=access)


Builder = Callable[[DeviceSpec, PatientVitals, Equipment], EmulatedDevice]

BUILDERS: Final[dict[str, Builder]] = {
    "blood_pressure_cuff": _cuff,
    "glucose_meter": _meter,
    "glucose_sensor": _glucose_sensor,
    "heart_rate_strap": _strap,
    "pulse_oximeter": _oximeter,
    "spot_pulse_oximeter": _spot_oximeter,
    "stored_oximeter": _stored_oximeter,
    "thermometer": _thermometer,
    "weight_scale": _scale,
}
