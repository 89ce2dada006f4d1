"""Wire codes and bits that stand in stored data: they may grow, never change."""

import msgspec
import pytest

from wardlight_shared.model import (
    ABSENT_BY_CODE,
    CODE_BY_ABSENT,
    NOT_CLINICAL,
    Absent,
    Device,
    DeviceTime,
    Flag,
    Reading,
)

ABSENT_CODES = {
    1: "not-a-number",
    2: "not-at-this-resolution",
    3: "positive-infinity",
    4: "negative-infinity",
    5: "reserved-value",
    6: "not-measured",
    7: "measurement-unsuccessful",
    8: "sensor-off",
    9: "sensor-fault",
    10: "over-range",
    11: "under-range",
    12: "invalid",
}
FLAG_BITS = [
    "QUESTIONABLE",
    "INVALID",
    "EARLY",
    "ONGOING",
    "VALIDATED",
    "FULLY_QUALIFIED",
    "FROM_STORAGE",
    "DEMO",
    "TEST",
    "CALIBRATING",
    "UNAVAILABLE",
    "BODY_MOVEMENT",
    "CUFF_LOOSE",
    "IRREGULAR_PULSE",
    "PULSE_ABOVE_RANGE",
    "PULSE_BELOW_RANGE",
    "IMPROPER_POSITION",
    "SENSOR_OFF",
    "SENSOR_FAULT",
    "SIGNAL_POOR",
    "LOW_PERFUSION",
    "ARTIFACT",
    "OUT_OF_TRACK",
    "CONTACT_LOST",
    "DEVICE_CLOCK_UNSET",
    "DEVICE_CLOCK_FAR",
    "IMPLAUSIBLE",
    "LATE",
    "DEVICE_ALARM",
    "BATTERY_LOW",
    "USER_UNKNOWN",
    "TIME_UNCERTAIN",
    "RELEASED",
    "CORRECTED",
    "WITHDRAWN",
]


def test_absent_codes_never_change() -> None:
    assert {code: str(absent) for absent, code in CODE_BY_ABSENT.items()} == ABSENT_CODES
    assert ABSENT_BY_CODE[0] is None
    assert all(ABSENT_BY_CODE[code] is absent for absent, code in CODE_BY_ABSENT.items())


def test_flag_bits_never_change() -> None:
    assert {flag.name: int(flag) for flag in Flag} == {
        name: 1 << bit for bit, name in enumerate(FLAG_BITS)
    }


def test_not_clinical() -> None:
    assert NOT_CLINICAL == Flag.DEMO | Flag.TEST | Flag.CALIBRATING


def test_device_time_text_keeps_what_is_not_known() -> None:
    assert DeviceTime(2024, 6, 15, 7, 5, 9).isoformat() == "2024-06-15T07:05:09"
    assert DeviceTime(0, 6, 0, 7, 5, 9).isoformat() == "0000-06-00T07:05:09"


def test_values_are_frozen() -> None:
    reading = Reading("spo2", Absent.SENSOR_OFF, "%")
    with pytest.raises(AttributeError):
        reading.unit = "1"  # type: ignore[misc]


def test_values_survive_storage() -> None:
    device = Device("ble:00112233AABB", "generic-blood-pressure")
    assert msgspec.json.decode(msgspec.json.encode(device), type=Device) == device
