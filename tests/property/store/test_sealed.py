"""Ids and cursors: read by this store alone, and by nothing that was changed."""

import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardlight_cloud.store.postgres.sealed import Cursors, ObservationIds, ObservationKey

KEY = secrets.token_bytes(16)
IDS = ObservationIds(KEY)
CURSORS = Cursors(secrets.token_bytes(32))

keys = st.tuples(
    st.integers(1, (1 << 31) - 1), st.integers(0, (1 << 53) - 1), st.integers(0, (1 << 31) - 1)
)
texts = st.text(st.sampled_from("0123456789abcdef"), min_size=32, max_size=32)
positions = st.tuples(*[st.integers(-(1 << 63), (1 << 63) - 1)] * 4)


@given(st.lists(keys, max_size=5))
def test_ids_are_undone(chosen: list[ObservationKey]) -> None:
    names = IDS.ids(chosen)
    assert [IDS.key(name) for name in names] == chosen
    assert all(len(name) == 32 and name.isalnum() and name == name.lower() for name in names)
    assert ObservationIds(KEY).ids(chosen) == names


@given(texts | st.text(max_size=40))
def test_a_foreign_text_is_no_id_or_one_of_ours(text: str) -> None:
    """Whatever decodes is the only text of its key."""
    key = IDS.key(text)
    assert key is None or IDS.ids([key]) == [text]


@given(keys)
def test_another_store_has_other_ids(key: ObservationKey) -> None:
    other = ObservationIds(secrets.token_bytes(16))
    assert other.ids([key]) != IDS.ids([key])


@given(positions, st.text(max_size=20))
def test_cursors_are_undone(position: tuple[int, int, int, int], search: str) -> None:
    sealed = CURSORS.seal(position, search)
    assert CURSORS.open(sealed, search, tuple[int, int, int, int]) == position


@given(positions, st.data())
def test_a_changed_cursor_is_refused(
    position: tuple[int, int, int, int], data: st.DataObject
) -> None:
    sealed = bytearray(CURSORS.seal(position, "search"))
    place = data.draw(st.integers(0, len(sealed) - 1))
    sealed[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ValueError, match="cursor"):
        CURSORS.open(bytes(sealed), "search", tuple[int, int, int, int])


@given(st.binary(max_size=80))
def test_any_bytes_are_a_cursor_or_refused(noise: bytes) -> None:
    with pytest.raises(ValueError, match="cursor"):
        CURSORS.open(noise, "search", tuple[int, int, int, int])
