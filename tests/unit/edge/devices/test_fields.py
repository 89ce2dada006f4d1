"""Fields that several characteristics share, at every edge: Date Time, user, status bits."""

import pytest

from wardlight_edge.devices import blood_pressure, current_time, pulse_oximeter
from wardlight_shared.model import Flag

NORMAL = (2024, 2, 29, 23, 59, 59)


def _date_time(*fields: int) -> bytes:
    return fields[0].to_bytes(2, "little") + bytes(fields[1:])


@pytest.mark.parametrize(
    "fields",
    [
        NORMAL,
        (1582, 1, 1, 0, 0, 0),
        (9999, 12, 31, 23, 59, 59),
        (2000, 2, 29, 0, 0, 0),
    ],
)
def test_a_date_the_specification_allows(fields: tuple[int, ...]) -> None:
    shown = current_time.decode("0x2A08", _date_time(*fields))
    assert shown.is_set
    assert shown.time is not None
    time = shown.time
    assert (time.year, time.month, time.day, time.hour, time.minute, time.second) == fields


@pytest.mark.parametrize(
    "fields",
    [
        (0, 2, 29, 0, 0, 0),
        (0, 0, 0, 23, 59, 59),
        (2023, 0, 31, 0, 0, 0),
        (2023, 2, 0, 0, 0, 0),
        (0, 12, 31, 0, 0, 0),
    ],
)
def test_a_date_not_known_is_kept_as_sent(fields: tuple[int, ...]) -> None:
    shown = current_time.decode("0x2A08", _date_time(*fields))
    assert not shown.is_set
    assert shown.time is not None
    assert (shown.time.year, shown.time.month, shown.time.day) == fields[:3]


@pytest.mark.parametrize(
    "fields",
    [
        (1581, 1, 1, 0, 0, 0),
        (1, 1, 1, 0, 0, 0),
        (10_000, 1, 1, 0, 0, 0),
        (65_535, 255, 255, 255, 255, 255),
        (2024, 13, 1, 0, 0, 0),
        (2024, 1, 32, 0, 0, 0),
        (2023, 2, 29, 0, 0, 0),
        (1900, 2, 29, 0, 0, 0),
        (0, 2, 30, 0, 0, 0),
        (0, 4, 31, 0, 0, 0),
        (2024, 1, 1, 24, 0, 0),
        (2024, 1, 1, 0, 60, 0),
        (2024, 1, 1, 0, 0, 60),
    ],
)
def test_a_date_that_no_calendar_has_is_dropped(fields: tuple[int, ...]) -> None:
    shown = current_time.decode("0x2A08", _date_time(*fields))
    assert (shown.time, shown.is_set) == (None, False)


@pytest.mark.parametrize(("octet", "user"), [(0, 0), (1, 1), (254, 254), (255, None)])
def test_user_index(octet: int, user: int | None) -> None:
    (reading, *_) = blood_pressure.decode("0x2A35", bytes([0x08, 124, 0, 86, 0, 97, 0, octet]))
    assert reading.user == user
    assert reading.flags == (int(Flag.USER_UNKNOWN) if user is None else 0)


def test_every_blood_pressure_status_word() -> None:
    """Against the wording of the service: five facts and a number of two bits."""
    ranges = [Flag(0), Flag.PULSE_ABOVE_RANGE, Flag.PULSE_BELOW_RANGE, Flag(0)]
    for word in range(1 << 10):
        expected = ranges[word // 8 % 4]
        expected |= Flag.BODY_MOVEMENT * (word % 2)
        expected |= Flag.CUFF_LOOSE * (word // 2 % 2)
        expected |= Flag.IRREGULAR_PULSE * (word // 4 % 2)
        expected |= Flag.IMPROPER_POSITION * (word // 32 % 2)
        value = bytes([0x10, 124, 0, 86, 0, 97, 0]) + word.to_bytes(2, "little")
        (reading, *_) = blood_pressure.decode("0x2A35", value)
        assert reading.flags == int(expected), bin(word)


MEASUREMENT = {
    5: "ONGOING",
    6: "EARLY",
    7: "VALIDATED",
    8: "FULLY_QUALIFIED",
    9: "FROM_STORAGE",
    10: "DEMO",
    11: "TEST",
    12: "CALIBRATING",
    13: "UNAVAILABLE",
    14: "QUESTIONABLE",
    15: "INVALID",
}
SENSOR = {
    1: "SENSOR_FAULT",
    2: "SIGNAL_POOR",
    3: "SIGNAL_POOR",
    4: "SIGNAL_POOR",
    5: "LOW_PERFUSION",
    6: "SIGNAL_POOR",
    7: "SIGNAL_POOR",
    8: "QUESTIONABLE",
    9: "ONGOING",
    10: "SIGNAL_POOR",
    11: "SENSOR_OFF",
    12: "SENSOR_FAULT",
    13: "SENSOR_OFF",
    14: "SENSOR_FAULT",
    15: "SENSOR_FAULT",
}


@pytest.mark.parametrize("bit", range(16))
def test_each_measurement_status_bit(bit: int) -> None:
    value = bytes([0x04, 97, 0, 72, 0]) + (1 << bit).to_bytes(2, "little")
    (reading, *_) = pulse_oximeter.decode("0x2A5F", value)
    assert reading.flags == (int(Flag[MEASUREMENT[bit]]) if bit in MEASUREMENT else 0)


@pytest.mark.parametrize("bit", range(24))
def test_each_sensor_status_bit(bit: int) -> None:
    value = bytes([0x04, 97, 0, 72, 0]) + (1 << bit).to_bytes(3, "little")
    (reading, *_) = pulse_oximeter.decode("0x2A5E", value)
    assert reading.flags == (int(Flag[SENSOR[bit]]) if bit in SENSOR else 0)
