"""Quirks are data: which model, which repair, and that none touches what keeps to its standard."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.vectors import cases, octets
from wardlight_edge.devices import _quirks, blood_pressure, repaired
from wardlight_edge.devices._quirks import QUIRKS, meanings
from wardlight_edge.devices._repairs import REPAIRS
from wardlight_shared.errors import ConfigError
from wardlight_shared.model import Absent, DeviceInfo

BM85 = DeviceInfo(manufacturer="Beurer GmbH", model="BM 85")

# Recorded from a Beurer BM85: tests of derdilla/blood-pressure-monitor-fl
# (app/test/features/bluetooth/logic/characteristics/ble_measurement_data_test.dart).
RECORDED = [
    ([86, 106, 0, 71, 0, 0, 0, 234, 7, 8, 11, 18, 31, 0, 0, 63, 0, 0, 0], 106, 71, 63, 0),
    ([86, 113, 0, 73, 0, 0, 0, 234, 7, 8, 11, 20, 56, 0, 0, 65, 1, 0, 0], 113, 73, 65, 1),
    ([86, 119, 0, 70, 0, 0, 0, 234, 7, 8, 11, 20, 57, 0, 0, 87, 1, 0, 64], 119, 70, 87, 1),
]


@pytest.mark.parametrize(("sent", "systolic", "diastolic", "pulse", "user"), RECORDED)
def test_beurer_bm85(sent: list[int], systolic: int, diastolic: int, pulse: int, user: int) -> None:
    readings = blood_pressure.decode("0x2A35", repaired("0x2A35", bytes(sent), BM85))
    values = [reading.value for reading in readings]
    assert values == [systolic, diastolic, Absent.NOT_MEASURED, pulse]
    assert {reading.user for reading in readings} == {user}


@pytest.mark.parametrize(
    ("manufacturer", "model", "is_known"),
    [
        ("Beurer GmbH", "BM85", True),
        ("beurer", "Beurer BM 59", True),
        ("BEURER", "BM-48 IT", True),
        ("Beurer", "BM77", False),
        ("Omron", "BM85", False),
        (None, "BM85", False),
        ("Beurer", None, False),
        ("Beurer", "", False),
    ],
)
def test_a_device_is_known_by_prefixes(
    manufacturer: str | None, model: str | None, is_known: bool
) -> None:
    sent = bytes(RECORDED[0][0])
    info = DeviceInfo(manufacturer=manufacturer, model=model)
    assert (repaired("0x2A35", sent, info) != sent) == is_known
    assert repaired("0x2A36", sent, info) == sent


def test_firmware_that_keeps_to_the_specification_is_left_alone() -> None:
    for case in cases("blood_pressure"):
        if "error" not in case and case["characteristic"] == "0x2A35":
            assert repaired("0x2A35", octets(case), BM85) == octets(case)


@pytest.mark.parametrize("name", REPAIRS)
@given(value=st.binary(max_size=40))
def test_a_repair_takes_any_bytes(name: str, value: bytes) -> None:
    assert isinstance(REPAIRS[name](value), bytes)


def test_every_quirk_names_its_source_and_every_repair_is_used() -> None:
    habits = (*QUIRKS.quirk, *QUIRKS.meaning)
    assert all(habit.source and habit.models for habit in habits)
    assert {quirk.repair for quirk in QUIRKS.quirk} == set(REPAIRS)


@pytest.mark.parametrize(
    ("manufacturer", "model", "is_known"),
    [
        ("i-SENS", "CareSens Dual", True),
        ("I-SENS, Inc.", None, True),
        ("Roche", "CareSens", False),
        (None, None, False),
    ],
)
def test_a_reserved_meal_of_caresens(
    manufacturer: str | None, model: str | None, is_known: bool
) -> None:
    info = DeviceInfo(manufacturer=manufacturer, model=model)
    assert meanings("0x2A34", info) == ({6: "ketone"} if is_known else {})
    assert meanings("0x2A18", info) == {}


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("quirk = 1", "quirks.toml"),
        ("[[quirk]", "quirks.toml"),
        (
            '[[quirk]]\nmanufacturer="a"\nmodels=[]\ncharacteristic="x"\nrepair="y"\nsource="z"',
            "'y' is not in _repairs.py",
        ),
    ],
)
def test_a_wrong_table_is_refused(text: str, error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        _quirks.parse(text)
