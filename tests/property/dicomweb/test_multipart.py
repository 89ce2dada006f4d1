"""Multipart bodies: the reader gives back what a writer of the standard library's rules made."""

from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from wardlight_cloud.dicomweb.multipart import (
    PART_END,
    MultipartError,
    PartHead,
    PartReader,
    boundary_of,
)

BOUNDARY = b"--wl_7"
# Octets that look like boundaries more often than chance would make them.
_piece = st.sampled_from([b"\r\n", b"--", b"--wl_7", b"\r\n----wl_", b"\r", b"\n", b"x", b"\0" * 9])
contents = st.one_of(st.binary(max_size=200), st.lists(_piece, max_size=12).map(b"".join))


def body_of(parts: list[bytes], *, preamble: bytes = b"", after: bytes = b"") -> bytes:
    """As RFC 2046, 5.1.1 writes a body; each part has a header with its length."""
    made = preamble
    for place, part in enumerate(parts):
        start = b"" if place == 0 and not preamble else b"\r\n"
        made += start + b"--" + BOUNDARY + b"\r\nContent-Length: %d\r\n\r\n" % len(part) + part
    return made + b"\r\n--" + BOUNDARY + b"--" + after


def read(body: bytes, cuts: list[int]) -> list[bytes]:
    """Contents of the parts, of a body that comes in pieces."""
    reader = PartReader(BOUNDARY)
    parts: list[bytes] = []
    heads = ends = 0
    places = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    for first, last in pairwise(places):
        for event in reader.feed(body[first:last]):
            if isinstance(event, PartHead):
                heads += 1
                parts.append(b"")
            elif event is PART_END:
                ends += 1
            elif isinstance(event, bytes):
                parts[-1] += event
    reader.finish()
    assert heads == ends == len(parts)
    return parts


@given(
    parts=st.lists(contents, min_size=1, max_size=4),
    cuts=st.lists(st.integers(0, 5000), max_size=20),
    preamble=st.sampled_from([b"", b"\r\n", b"This is no part.\r\n--other\r\n"]),
    after=st.binary(max_size=30),
)
def test_parts_come_back_however_the_body_is_cut(
    parts: list[bytes], cuts: list[int], preamble: bytes, after: bytes
) -> None:
    assume(all(b"\r\n--" + BOUNDARY not in b"\r\n" + part for part in parts))
    assert read(body_of(parts, preamble=preamble, after=after), cuts) == parts


@given(parts=st.lists(contents, min_size=1, max_size=3), keep=st.integers(0, 10_000))
def test_a_body_that_is_cut_off_is_never_whole(parts: list[bytes], keep: int) -> None:
    assume(all(b"\r\n--" + BOUNDARY not in b"\r\n" + part for part in parts))
    body = body_of(parts)
    with pytest.raises(MultipartError):
        read(body[: keep % (len(body) - 1)], [])


@given(octets=st.one_of(st.binary(max_size=400), st.lists(_piece, max_size=40).map(b"".join)))
def test_any_octets_end_in_events_or_an_error(octets: bytes) -> None:
    reader = PartReader(BOUNDARY)
    try:
        total = sum(len(event) for event in reader.feed(octets) if isinstance(event, bytes))
        reader.finish()
    except MultipartError:
        return
    assert total <= len(octets)


@given(size=st.integers(1, 300))
def test_what_the_reader_holds_is_bounded(size: int) -> None:
    reader = PartReader(BOUNDARY)
    list(reader.feed(b"--" + BOUNDARY + b"\r\n\r\n"))
    for _ in range(20):
        list(reader.feed(b"\r\n-" * size))
        assert len(reader._buffer) <= len(BOUNDARY) + 4


def test_headers_without_end_are_refused() -> None:
    reader = PartReader(BOUNDARY)
    with pytest.raises(MultipartError, match="headers"):
        for _ in range(100):
            list(reader.feed(b"--" + BOUNDARY + b"\r\nX: " + b"y" * 1000))


_UUIDS = "-".join(["c1b99483-d7e8-4963-9a36-2175057af90e"] * 2)


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ('multipart/related; type="application/dicom"; boundary=abc', b"abc"),
        ('multipart/related; boundary="a b:c?d"; type=x/y', b"a b:c?d"),
        ("multipart/related; BOUNDARY=--x", b"--x"),
        # Of Orthanc 1.10.1, its DICOMweb plugin 1.7: two UUIDs, three characters too long.
        (f'multipart/related; type="application/dicom"; boundary={_UUIDS}', _UUIDS.encode()),
    ],
)
def test_boundaries_are_found(content_type: str, boundary: bytes) -> None:
    assert boundary_of(content_type) == boundary


@pytest.mark.parametrize(
    "content_type",
    ["multipart/related", 'multipart/related; boundary=""',
     f"multipart/related; boundary={'x' * 201}", 'multipart/related; boundary="a "',
     "multipart/related; boundary=é"],
)  # fmt: skip
def test_what_is_no_boundary_is_refused(content_type: str) -> None:
    with pytest.raises(MultipartError):
        boundary_of(content_type)
