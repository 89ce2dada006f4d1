"""Any octets end in a header or in a HeaderError, and frames never lie outside the file."""

import io
from pathlib import Path

import pydicom.data
from hypothesis import given
from hypothesis import strategies as st

from wardlight_cloud.imaging.errors import HeaderError
from wardlight_cloud.imaging.header import read_header
from wardlight_cloud.store.image_text import (
    folded,
    grams_of_pattern,
    grams_of_words,
    name_grams,
    stored_name,
    words,
)
from wardlight_cloud.store.object_names import joined, walk

_FOLDER = Path(pydicom.data.__file__).parent
_SEEDS = [
    path.read_bytes()
    for name in (
        "test_files/CT_small.dcm", "test_files/JPEG2000.dcm", "test_files/image_dfl.dcm",
        "test_files/MR_small_bigendian.dcm", "test_files/rtplan.dcm", "test_files/test-SR.dcm",
        "test_files/SC_rgb_rle_2frame.dcm", "charset_files/chrH31.dcm",
    )
    for path in (_FOLDER / name,)
]  # fmt: skip
_MOST = 20_000


def _check(octets: bytes) -> None:
    try:
        header = read_header(io.BytesIO(octets), inflated_bytes=1 << 20)
    except HeaderError:
        return
    spans = [span for frame in header.frames for span in frame] + list(header.bulk.values())
    assert all(at > 0 and size >= 0 and at + size <= len(octets) for at, size in spans)


@given(st.binary(max_size=2000))
def test_octets_that_are_no_file(octets: bytes) -> None:
    _check(octets)
    _check(bytes(128) + b"DICM" + octets)


@given(
    st.integers(0, len(_SEEDS) - 1),
    st.lists(st.tuples(st.integers(0, _MOST), st.binary(min_size=1, max_size=8)), max_size=6),
    st.integers(0, _MOST),
)
def test_files_with_damage(number: int, changes: list[tuple[int, bytes]], end: int) -> None:
    seed = _SEEDS[number]
    octets = bytearray(seed[: max(end, 200)] if end % 2 else seed)
    for place, piece in changes:
        at = place % len(octets)
        octets[at : at + len(piece)] = piece
    _check(bytes(octets))


_NAMES = st.text(st.characters(codec="utf-8"), max_size=30)


@given(_NAMES)
def test_a_name_has_the_pieces_that_queries_for_it_ask_for(name: str) -> None:
    stored = stored_name(name)
    assert folded(folded(name)) == folded(name)
    if not stored:
        return
    pieces = set(name_grams(stored))
    for group in stored.split("="):
        if group and not set(group) & set("*?"):
            assert set(grams_of_pattern(group)) <= pieces
            assert set(grams_of_pattern(f"{group[:2]}*")) <= pieces
    assert set(grams_of_words(words(name))) <= pieces


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), max_size=12), st.integers(0, 80))
def test_parts_are_walked_once_from_end_to_end(raw: list[tuple[int, int]], size: int) -> None:
    parts = [(first, first + length) for first, length in raw]
    covered = {octet for first, end in parts for octet in range(first, end)}
    assert {octet for first, end in joined(parts) for octet in range(first, end)} == covered
    steps = walk(parts, size)
    is_complete = covered == set(range(size))
    assert (steps is not None) == is_complete
    if steps is not None:
        read = [octet for (first, end), skipped in steps for octet in range(first + skipped, end)]
        assert read == list(range(size))
