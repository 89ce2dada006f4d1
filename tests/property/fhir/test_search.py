"""Any query string ends in a search or in an error that names its parameter."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from wardlight_cloud.fhir.dates import bounds
from wardlight_cloud.fhir.outcome import FhirError
from wardlight_cloud.fhir.paging import COUNT_MAX, cursor_bytes, cursor_text
from wardlight_cloud.fhir.parameters import split_values
from wardlight_cloud.fhir.search import (
    OBSERVATION_PARAMETERS,
    observation_search,
)
from wardlight_cloud.store.queries import TimeBound

NAMES = st.sampled_from(
    [*OBSERVATION_PARAMETERS, "_count", "_sort", "_cursor", "_summary", "_total", "code:in", "x"]
)
TEXTS = st.one_of(
    st.sampled_from(["count", "true", "false", "accurate", "0", "17"]),
    st.text(max_size=40),
    st.from_regex(r"\A(eq|ne|lt|le|gt|ge|sa|eb|ap)?[0-9]{4}(-[0-9]{2}){0,2}(T[0-9:.Z+-]*)?\Z"),
    st.from_regex(r"\A(http://loinc\.org)?\|?[0-9]{4,5}-[0-9](,[0-9]{4,5}-[0-9])*\Z"),
    st.from_regex(r"\A(Patient/|Device/)?[0-9a-f-]{30,36}\Z"),
)


@given(st.lists(st.tuples(NAMES, TEXTS), max_size=6), st.booleans())
def test_any_query_is_a_search_or_a_named_error(
    parameters: list[tuple[str, str]], strict: bool
) -> None:
    try:
        found = observation_search(parameters, strict=strict)
    except FhirError as error:
        assert error.status == 400
        assert error.expression is not None
        assert error.expression.removeprefix("http.") in {name for name, _ in parameters}
    else:
        assert 1 <= found.query.count <= COUNT_MAX
        assert {name for name, _ in found.honoured} <= {name for name, _ in parameters}


@given(st.lists(st.text(min_size=1, max_size=10), max_size=6))
def test_escaped_lists_come_apart_as_they_were_put_together(values: list[str]) -> None:
    escaped = [value.replace("\\", "\\\\").replace(",", "\\,") for value in values]
    assert split_values(",".join(escaped)) == values


@given(st.binary(max_size=200))
def test_cursors_travel_in_urls(cursor: bytes) -> None:
    text = cursor_text(cursor)
    assert text.replace("-", "").replace("_", "").isalnum() or not text
    assert cursor_bytes(text) == cursor


def holds(moment: datetime, found: tuple[TimeBound, ...]) -> bool:
    compare = {
        "lt": lambda b: moment < b,
        "le": lambda b: moment <= b,
        "gt": lambda b: moment > b,
        "ge": lambda b: moment >= b,
    }
    return all(compare[bound.op](bound.instant) for bound in found)


ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
START = datetime(1990, 1, 1, tzinfo=UTC)
MOMENTS = st.builds(
    lambda microseconds, zone: (START + timedelta(microseconds=microseconds)).astimezone(zone),
    st.integers(0, 3 * 10**15),
    ZONES,
)


@given(MOMENTS, MOMENTS)
def test_prefixes_agree_with_the_clock(asked: datetime, measured: datetime) -> None:
    """To the second: eq is that second, and each of lt, le, gt, ge is its half of time."""
    asked = asked.replace(microsecond=0)
    text = asked.isoformat()
    measured_second = measured.astimezone(UTC).replace(microsecond=0)
    is_same = measured_second == asked
    assert holds(measured, bounds(f"eq{text}")) == is_same
    assert holds(measured, bounds(f"lt{text}")) == (measured < asked)
    assert holds(measured, bounds(f"ge{text}")) == (measured >= asked)
    assert holds(measured, bounds(f"le{text}")) == (measured < asked or is_same)
    assert holds(measured, bounds(f"gt{text}")) == (measured > asked and not is_same)


@given(st.text(max_size=40))
def test_any_text_is_a_date_or_a_value_error(text: str) -> None:
    try:
        found = bounds(text)
    except ValueError as error:
        assert str(error)
    else:
        assert all(bound.instant.tzinfo is not None for bound in found)
