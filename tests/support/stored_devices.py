"""Devices with stored records for tests: quick to advertise, and profiles for them."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from support.recording_outbox import RecordingOutbox
from support.tree import ROOT
from wardlight_edge.profiles import load_file
from wardlight_lab.devices.cgm_sensor import CgmSensor
from wardlight_lab.devices.emulated import Equipment
from wardlight_lab.devices.glucose_meter import MEASUREMENT, GlucoseMeter
from wardlight_lab.devices.patient import PatientVitals
from wardlight_lab.devices.record_access import Access
from wardlight_lab.devices.stored_oximeter import StoredOximeter
from wardlight_shared.codes import BY_WIRE
from wardlight_shared.floats import decimal_from_parts

START = datetime(2026, 10, 1, 7, tzinfo=UTC)
GLUCOSE = load_file(ROOT / "firmware-configs" / "generic-glucose.toml")
CGM = load_file(ROOT / "firmware-configs" / "generic-cgm.toml")
OXIMETER = load_file(ROOT / "firmware-configs" / "generic-pulse-oximeter-stored.toml")
CONTOUR = load_file(ROOT / "firmware-configs" / "contour-next-one.toml")


def meter(access: Access | None = None, **equipment: object) -> GlucoseMeter:
    """A meter that advertises often."""
    made = Equipment(advertising_interval_s=0.05)
    for name, value in equipment.items():
        setattr(made, name, value)
    return GlucoseMeter("patient", equipment=made, access=access)


def sensor(
    started: datetime | None, access: Access | None = None, *, is_checked: bool = True
) -> CgmSensor:
    """A glucose sensor that advertises often."""
    equipment = Equipment(advertising_interval_s=0.05)
    return CgmSensor("patient", started, is_checked=is_checked, equipment=equipment, access=access)


def oximeter(access: Access | None = None) -> StoredOximeter:
    """An oximeter with a memory that advertises often."""
    equipment = Equipment(advertising_interval_s=0.05)
    return StoredOximeter("patient", PatientVitals("patient"), equipment=equipment, access=access)


def fill(device: GlucoseMeter, count: int) -> None:
    """Measurements of the past weeks, four hours apart, every third with its meal."""
    already = len(device.memory)
    for place in range(already, already + count):
        at = START + timedelta(hours=4 * place)
        device.measure(at, meal="fasting" if place % 3 == 0 else None)


def numbers(outbox: RecordingOutbox) -> list[int]:
    """Record numbers of the accepted events, in order."""
    return [event.ord >> 8 for event in outbox.events()]


def values(outbox: RecordingOutbox) -> list[tuple[str, Decimal]]:
    """Metric and value of each accepted number."""
    found = []
    for event in outbox.events():
        for series, mantissa, scale in zip(
            event.series, event.mantissas, event.scales, strict=True
        ):
            metric = BY_WIRE[outbox.key(series).metric].name
            found.append((metric, decimal_from_parts(mantissa, scale)))
    return found


def sent(device: GlucoseMeter) -> list[Decimal]:
    """What the memory holds, oldest first."""
    found = []
    for record in device.memory:
        for part in record.parts:
            if part.uuid == MEASUREMENT:
                found.append(Decimal(part.values["glucose"]))
    return found
