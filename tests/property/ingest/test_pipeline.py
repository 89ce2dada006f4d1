"""No bytes whatever get past the pipeline in a fourth way, and none get lost in it."""

import random

import hypothesis.strategies as st
import msgspec
import pytest
import zstandard
from hypothesis import example, given

from support.envelopes import GATEWAY, NOW_MS, block, event, record, sealed
from wardlight_cloud.ingest.batches import MAX_BATCH_ROWS
from wardlight_cloud.ingest.blocks import MAX_RECORD_ROWS
from wardlight_cloud.ingest.pipeline import dead_letter, open_message, seqs_of
from wardlight_cloud.store.batch import IngestBatch
from wardlight_shared.envelope import MAX_BYTES, expand
from wardlight_shared.errors import EnvelopeError, VersionError

RECORDS = [
    record(1, event({0: "97", 1: "61"}), event_id=bytes(16)),
    record(2, block([96, 97, 97, 95], absents=[(2, 8)])),
    record(5, event({2: "120.5", 3: "80.0"}, age_ms=3000)),
]
SOUND = expand(sealed(RECORDS))


def opened(message: bytes) -> list[IngestBatch] | None:
    """All batches, or None where the header says no; any other exception fails the test."""
    try:
        batches = list(open_message(GATEWAY, message, NOW_MS))
    except EnvelopeError as error:  # VersionError is one of them
        if not isinstance(error, VersionError):
            (letter,) = dead_letter(GATEWAY, message, str(error)).rejected
            assert letter.body == message[:MAX_BYTES]
        return None
    for batch in batches:
        check_indices(batch)
    return batches


def check_indices(batch: IngestBatch) -> None:
    columns = batch.readings
    assert len(columns) <= MAX_BATCH_ROWS + MAX_RECORD_ROWS
    rows = len(columns)
    for name in columns.__dataclass_fields__:
        assert len(getattr(columns, name)) == rows, name
    if rows:
        assert 0 <= columns.series.min() <= columns.series.max() < len(batch.series)
        assert 0 <= columns.record_of_row.min() <= columns.record_of_row.max() < len(batch.seqs)
        assert not columns.mantissa[columns.absent != 0].any()
    assert all(0 <= detail.row < rows for detail in batch.details)
    assert len(batch.event_ids) == len(batch.seqs)
    assert seqs_of(batch) == sorted(set(seqs_of(batch))), "a record in two places"
    assert all(len(letter.reason) <= 256 for letter in batch.rejected)


@given(st.binary(max_size=400))
@example(b"")
@example(b"\x28\xb5\x2f\xfd")
@example(b"\x9d" + b"\xc0" * 13)
@example(b"\x91" * 60_000)
def test_any_bytes(message: bytes) -> None:
    opened(message)


@given(st.data())
def test_a_damaged_envelope(data: st.DataObject) -> None:
    damaged = bytearray(SOUND)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(damaged) - 1))
        damaged[place] = data.draw(st.integers(0, 255))
    opened(bytes(damaged))
    opened(zstandard.compress(bytes(damaged)))


@given(st.integers(0, len(SOUND)), st.binary(max_size=30))
def test_a_cut_or_prolonged_envelope(length: int, tail: bytes) -> None:
    opened(SOUND[:length] + tail)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.floats() | st.text()
    | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)  # fmt: skip


@given(st.integers(0, 12), ANYTHING)
def test_any_value_at_any_position(position: int, value: object) -> None:
    parts = msgspec.msgpack.decode(SOUND)
    parts[position] = value
    opened(msgspec.msgpack.encode(parts))


@given(st.integers(0, 2), st.lists(st.integers(0, 13), max_size=3), ANYTHING)
def test_any_value_in_any_body(place: int, path: list[int], value: object) -> None:
    """The header stays sound, so each of the three records ends stored or as a dead letter."""
    parts = msgspec.msgpack.decode(SOUND)
    target: object = parts[12]
    for step in [place, *path][:-1]:
        inner = target[step] if isinstance(target, list) and step < len(target) else None
        if not isinstance(inner, list) or not inner:
            break
        target = inner
    assert isinstance(target, list)
    target[[place, *path][-1] % len(target)] = value
    batches = opened(msgspec.msgpack.encode(parts))
    assert batches is not None
    assert sorted(seq for batch in batches for seq in seqs_of(batch)) == [1, 2, 5]


def test_a_bomb_that_says_how_large_it_is() -> None:
    with pytest.raises(EnvelopeError, match="more than 4194304 bytes"):
        open_message(GATEWAY, zstandard.compress(bytes(64 << 20)), NOW_MS)


def test_a_bomb_that_does_not_say() -> None:
    packed = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(64 << 20))
    with pytest.raises(EnvelopeError, match="zstd"):
        open_message(GATEWAY, packed, NOW_MS)


def test_a_message_over_the_limit() -> None:
    with pytest.raises(EnvelopeError, match="65537 bytes"):
        open_message(GATEWAY, random.Random(1).randbytes(MAX_BYTES + 1), NOW_MS)


def test_many_samples_in_few_bytes_come_in_small_batches() -> None:
    """Steady values compress to nothing: the rows of one message must not stand in memory whole."""
    message = sealed([record(seq, block([97] * 9000, period_ms=1)) for seq in range(1, 200)])
    assert len(message) <= MAX_BYTES
    sizes = [len(batch.readings) for batch in open_message(GATEWAY, message, NOW_MS)]
    assert sum(sizes) == 199 * 9000
    assert max(sizes) < MAX_BATCH_ROWS + 9000
