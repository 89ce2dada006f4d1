"""A&D's cuff, scale and thermometer: what they kept comes once their clock is set, each once."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from support.ble_visits import changed
from support.recording_outbox import RecordingOutbox
from support.running_gateway import running_gateway
from support.tree import ROOT
from support.waiting import wait_until
from wardlight_edge.config import DeviceSettings
from wardlight_edge.profiles import load_file
from wardlight_lab.bluez import FakeBluez
from wardlight_lab.devices.blood_pressure_cuff import BloodPressureCuff
from wardlight_lab.devices.emulated import Equipment
from wardlight_lab.devices.encoding import DeviceClock
from wardlight_lab.devices.patient import PatientVitals
from wardlight_lab.devices.stored_records import Habit, StoredRecordDevice
from wardlight_lab.devices.thermometer import Thermometer
from wardlight_lab.devices.weight_scale import WeightScale
from wardlight_shared.codes import BY_WIRE
from wardlight_shared.floats import decimal_from_parts
from wardlight_shared.records import TimeMethod

pytestmark = pytest.mark.dbus

FACTORY = timedelta(days=-365 * 12)
"""Such a clock begins in the past when its battery was changed."""


@dataclass(frozen=True, slots=True)
class Case:
    """A device, its profile, and the metric that stands for a measurement."""

    profile: str
    metric: str
    make: Callable[[Equipment, Habit], StoredRecordDevice]


VITALS = PatientVitals("patient")


def cuff(equipment: Equipment, habit: Habit) -> StoredRecordDevice:
    return BloodPressureCuff("patient", VITALS, equipment=equipment, habit=habit)


def scale(equipment: Equipment, habit: Habit) -> StoredRecordDevice:
    return WeightScale("patient", VITALS, equipment=equipment, habit=habit)


def thermometer(equipment: Equipment, habit: Habit) -> StoredRecordDevice:
    return Thermometer("patient", VITALS, equipment=equipment, habit=habit)


CASES = (
    Case("and-ua-651ble", "systolic_bp", cuff),
    Case("and-uc-352ble", "body_weight", scale),
    Case("and-ut-201ble", "body_temperature", thermometer),
)


def device_of(case: Case, skew: timedelta, *, needs_clock: bool = True) -> StoredRecordDevice:
    equipment = Equipment(
        clock=DeviceClock(skew=skew), is_clock_vendor_style=True, advertising_interval_s=0.05
    )
    return case.make(equipment, Habit(advertise=60.0, needs_clock=needs_clock))


def measured_of(outbox: RecordingOutbox, metric: str) -> list[Decimal]:
    """The numbers of a metric, in the order in which they were accepted."""
    found = []
    for event in outbox.events():
        columns = zip(event.series, event.mantissas, event.scales, strict=True)
        for series, mantissa, scale in columns:
            if BY_WIRE[outbox.key(series).metric].name == metric:
                found.append(decimal_from_parts(mantissa, scale))
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.profile)
async def test_nothing_comes_before_its_clock_is_set_and_all_of_it_after(
    case: Case, bluez: FakeBluez, tmp_path: Path
) -> None:
    """Three kept by a clock of years ago, one measured after: each is as old as it is."""
    device = device_of(case, FACTORY)
    bluez.add(device)
    ages = (timedelta(hours=30), timedelta(hours=5), timedelta(minutes=20))
    kept = [device.measure(device.clock.now() - age) for age in ages]
    profiles = {"device": load_file(ROOT / "firmware-configs" / f"{case.profile}.toml")}
    settings = DeviceSettings(identity=device.identity_text, profile="device")
    async with running_gateway(tmp_path, profiles, settings) as run:
        await wait_until(lambda: len(run.outbox.events()) == 3)
        assert abs(device.clock.skew) < timedelta(seconds=5)
        await wait_until(lambda: device.link is None)
        fresh = device.measure()
        await wait_until(lambda: len(run.outbox.events()) == 4)
    events = run.outbox.events()
    assert [event.method for event in events] == [TimeMethod.DEVICE_CLOCK] * 4
    for event, age in zip(events, (*ages, timedelta(0)), strict=True):
        assert abs(event.age_ms - age.total_seconds() * 1000) < 60_000
    values = [Decimal(record.values[case.metric]) for record in (*kept, fresh)]
    assert measured_of(run.outbox, case.metric) == values


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.profile)
async def test_a_link_that_ends_costs_no_measurement_and_doubles_none(
    case: Case, bluez: FakeBluez, tmp_path: Path
) -> None:
    """Cut after three of eight, the third unconfirmed: it comes again and is known."""
    device = device_of(case, timedelta(0), needs_clock=False)
    bluez.add(device)
    begun = device.clock.now() - timedelta(hours=9)
    kept = [device.measure(begun + timedelta(hours=place)) for place in range(8)]
    device.faults.drop_after.append(3)
    device.faults.acknowledge_last = False
    profiles = {"device": load_file(ROOT / "firmware-configs" / f"{case.profile}.toml")}
    settings = DeviceSettings(identity=device.identity_text, profile="device")
    async with running_gateway(tmp_path, profiles, settings) as run:
        await wait_until(lambda: not device.pending)
        await wait_until(lambda: len(run.outbox.events()) == 8)
    assert not device.faults.drop_after, "the link was cut"
    values = [Decimal(record.values[case.metric]) for record in kept]
    assert measured_of(run.outbox, case.metric) == values


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.profile)
async def test_without_a_trusted_time_its_clock_is_left_alone(
    case: Case, bluez: FakeBluez, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A board that woke up in 1970 sets no device to that; the device waits with what it kept."""
    monkeypatch.setattr("wardlight_edge.sessions.device_clock.PLAUSIBLE_MS", 1 << 60)
    device = device_of(case, FACTORY)
    bluez.add(device)
    device.measure()
    profile = load_file(ROOT / "firmware-configs" / f"{case.profile}.toml")
    profiles = {"device": changed(profile, idle_timeout_s=3)}
    settings = DeviceSettings(identity=device.identity_text, profile="device")
    async with running_gateway(tmp_path, profiles, settings) as run:
        await wait_until(lambda: device.link is not None and device.link.is_encrypted)
        await wait_until(lambda: device.link is None, deadline_s=60)
        assert not run.outbox.events()
    assert device.clock.skew == FACTORY
    assert len(device.pending) == 1
