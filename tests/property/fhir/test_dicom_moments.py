"""Dates and times of DICOM as dateTimes of FHIR: valid, or not there."""

import re
from datetime import date
from typing import Final

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardlight_cloud.fhir.dicom_json import Attributes

# R4 4.0.1, datatypes, dateTime.
FHIR: Final = re.compile(
    r"([0-9]([0-9]([0-9][1-9]|[1-9]0)|[1-9]00)|[1-9]000)(-(0[1-9]|1[0-2])"
    r"(-(0[1-9]|[1-2][0-9]|3[0-1])(T([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?"
    r"(Z|(\+|-)((0[0-9]|1[0-3]):[0-5][0-9]|14:00)))?)?)?"
)
NEAR_DATES = st.from_regex(r"[0-9]{0,4}[.]?[0-9]{0,2}[.]?[0-9]{0,2}-?", fullmatch=True)
NEAR_TIMES = st.from_regex(r"[0-9]{0,2}:?[0-9]{0,2}:?[0-9]{0,2}[.]?[0-9]{0,7}", fullmatch=True)
NEAR_OFFSETS = st.from_regex(r"[+-]?[0-9]{0,5}", fullmatch=True)


def moment(day: object, time: object = None, offset: object = None) -> str | None:
    told = {"00080020": day, "00080030": time, "00080201": offset}
    found = {tag: {"vr": "DA", "Value": [value]} for tag, value in told.items()}
    return Attributes(orjson.dumps(found)).moment("00080020", "00080030")


@given(
    NEAR_DATES | st.text(max_size=9) | st.none() | st.integers(0, 99999999),
    NEAR_TIMES | st.text(max_size=9) | st.none(),
    NEAR_OFFSETS | st.none(),
)
def test_whatever_is_told_is_a_datetime_or_nothing(day: object, time: object, zone: object) -> None:
    found = moment(day, time, zone)
    if found is None:
        return
    assert FHIR.fullmatch(found)
    if len(found) >= len("2026-02-03"):
        date.fromisoformat(found[:10])


@pytest.mark.parametrize(
    ("day", "time", "zone", "expected"),
    [
        ("20260203", "101500", "+0200", "2026-02-03T10:15:00+02:00"),
        ("20260203", "101500.125000", "-0330", "2026-02-03T10:15:00.125000-03:30"),
        ("20260203 ", "1015", "+1400", "2026-02-03T10:15:00+14:00"),
        ("2026.02.03", "10:15:07", "+0000", "2026-02-03T10:15:07+00:00"),
        ("20161231", "235960", "+0000", "2016-12-31T23:59:60+00:00"),
        ("20260203", "101500", None, "2026-02-03"),
        ("20260203", "10", "+0200", "2026-02-03"),
        ("20260203", "251500", "+0200", "2026-02-03"),
        ("20260203", "101500", "+1401", "2026-02-03"),
        ("20260203", "101500", "+02:00", "2026-02-03"),
        ("202602", "101500", "+0200", "2026-02"),
        ("2026", None, None, "2026"),
        ("20260230", "101500", "+0200", None),
        ("20261301", None, None, None),
        ("202613", None, None, None),
        ("00000101", None, None, None),
        ("2026.0203", None, None, None),
        (None, "101500", "+0200", None),
    ],
)
def test_what_is_known_is_told_and_no_more(
    day: str | None, time: str | None, zone: str | None, expected: str | None
) -> None:
    assert moment(day, time, zone) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [("7", 7), ("+7", 7), (0, 0), ("-1", None), ("2a", None), ("1_0", None), ("\uff11", None),
     (2147483648, None), (1.5, None), ("", None), (None, None)],
)  # fmt: skip
def test_counts_are_counts(value: object, expected: int | None) -> None:
    found = {"00200011": {"vr": "IS", "Value": [value]}}
    assert Attributes(orjson.dumps(found)).count("00200011") == expected
