"""Whatever stands in a query, a Range or an Accept header ends in a value or in a 400."""

from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardlight_cloud.dicomweb.errors import DicomWebError
from wardlight_cloud.dicomweb.media import media_ranges
from wardlight_cloud.dicomweb.picture_parameters import picture_parameters
from wardlight_cloud.dicomweb.query import search_of
from wardlight_cloud.dicomweb.representation import RangeError, byte_range
from wardlight_cloud.store.imaging import MATCHABLE, Level

_names = st.sampled_from(
    ["PatientName", "00100010", "0020000D", "StudyDate", "StudyTime", "limit", "offset", "Rows",
     "includefield", "fuzzymatching", "00400275.00400009", "ModalitiesInStudy", "Nonsense", "", "."]
)  # fmt: skip
_values = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["1.2.3", "1.2,1.3", "20260101-", "-1015", "*", "A*", "10", "all", "true", "é"]
    ),
)
_levels = st.sampled_from(list(Level))


@given(level=_levels, given_=st.lists(st.tuples(_names, _values), max_size=6))
def test_any_query_is_a_search_or_refused(level: Level, given_: list[tuple[str, str]]) -> None:
    text = urlencode(given_, errors="surrogatepass")
    try:
        search = search_of(level, text.encode())
    except DicomWebError as error:
        assert error.status == 400
        assert error.text.isascii() or error.text.isprintable()
        return
    levels = list(Level)[: list(Level).index(level) + 1]
    known = {key for each in levels for key in MATCHABLE[each]}
    assert {match.keyword for match in search.query.matches} <= known
    warning = search.warnings("http://x", more=False) or ""
    assert warning.isascii()
    assert "\n" not in warning


@given(level=_levels, octets=st.binary(max_size=60))
def test_any_octets_of_a_query_are_a_search_or_refused(level: Level, octets: bytes) -> None:
    try:
        search_of(level, octets)
    except DicomWebError as error:
        assert error.status == 400


@given(text=st.text(alphabet="bytes=0123456789-, ", max_size=40), size=st.integers(0, 10_000))
def test_a_byte_range_lies_within_what_there_is(text: str, size: int) -> None:
    try:
        found = byte_range(text, size)
    except RangeError:
        return
    if found is not None:
        assert 0 <= found[0] < found[1] <= size


@given(first=st.integers(0, 99), last=st.integers(0, 200), size=st.integers(100, 150))
def test_a_byte_range_is_what_it_says(first: int, last: int, size: int) -> None:
    octets = bytes(range(size))
    found = byte_range(f"bytes={first}-{last}", size)
    if last < first:
        assert found is None
        return
    assert found is not None
    assert octets[slice(*found)] == octets[first : last + 1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("bytes=0-0", (0, 1)), ("bytes=-5", (95, 100)), ("bytes=90-", (90, 100)),
     ("bytes=-500", (0, 100)), ("bytes=0-1,5-6", None), ("items=0-1", None), ("bytes=5-2", None)],
)  # fmt: skip
def test_ranges_of_rfc_9110(text: str, expected: tuple[int, int] | None) -> None:
    assert byte_range(text, 100) == expected


@pytest.mark.parametrize("text", ["bytes=100-", "bytes=-0"])
def test_a_range_after_the_end_cannot_be_served(text: str) -> None:
    with pytest.raises(RangeError):
        byte_range(text, 100)


@given(text=st.text(alphabet='abc/*;,="q.01 ', max_size=60))
def test_any_accept_header_is_read_or_refused(text: str) -> None:
    try:
        found = media_ranges(text)
    except DicomWebError as error:
        assert error.status == 400
        return
    assert all(0 < each.quality <= 1 and "/" in each.kind for each in found)


@given(
    values=st.dictionaries(st.sampled_from(["window", "viewport", "quality"]), st.text(max_size=30))
)
def test_any_parameters_of_a_picture_are_read_or_refused(values: dict[str, str]) -> None:
    try:
        picture_parameters(values)
    except DicomWebError as error:
        assert error.status == 400


@given(name=st.text(max_size=12), value=st.text(max_size=12))
def test_a_refusal_never_repeats_a_value(name: str, value: str) -> None:
    secret = f"Geheim{value}"
    query = f"{quote(name, errors='replace')}=1&StudyDate={quote(secret, errors='replace')}"
    try:
        search_of(Level.STUDY, query.encode())
    except DicomWebError as error:
        assert "Geheim" not in error.text
