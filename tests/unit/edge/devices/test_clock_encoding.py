"""The bytes that set a device's clock; expected values by hand from the GSS."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from wardlight_edge.devices import current_time

CEST = timezone(timedelta(hours=2))
MOMENT = datetime(2024, 6, 15, 17, 17, 27, 500_000, tzinfo=CEST)


def test_date_time_is_the_wall_clock_of_the_zone() -> None:
    assert current_time.encode("0x2A08", MOMENT).hex() == "e807060f11111b"
    assert current_time.encode("0x2A08", MOMENT.astimezone(UTC)).hex() == "e807060f0f111b"


def test_current_time_has_weekday_fraction_and_reason() -> None:
    assert current_time.encode("0x2A2B", MOMENT).hex() == "e807060f11111b068002"


def test_adjust_reason_is_the_callers() -> None:
    octets = current_time.encode_current_time(MOMENT, current_time.MANUAL_UPDATE)
    assert octets[-1] == 0b0001


def test_the_last_microsecond_stays_in_its_second() -> None:
    late = MOMENT.replace(microsecond=999_999)
    assert current_time.encode_current_time(late)[8] == 255


def test_what_is_set_can_be_read() -> None:
    shown = current_time.decode("0x2A2B", current_time.encode("0x2A2B", MOMENT))
    assert shown.time is not None
    assert shown.time.isoformat() == "2024-06-15T17:17:27"
    assert (shown.is_set, shown.day_of_week, shown.fraction_256) == (True, 6, 128)


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(ValueError, match="naive"):
        current_time.encode_date_time(MOMENT.replace(tzinfo=None))


def test_only_clocks_can_be_set() -> None:
    with pytest.raises(ValueError, match="0x2A0F"):
        current_time.encode("0x2A0F", MOMENT)
