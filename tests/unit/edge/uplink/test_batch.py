"""Cutting records into messages that fit."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.manual_clock import ManualClock
from wardlight_edge.outbox.base import Choice, NewRecord
from wardlight_edge.outbox.memory import MemoryOutbox
from wardlight_edge.uplink.batch import Sealed, Sender, seal_records
from wardlight_shared.envelope import MAX_BYTES, Envelope, open_envelope, sums
from wardlight_shared.records import (
    EventBody,
    Lane,
    Record,
    SeriesKey,
    TimeMethod,
    WaveformBody,
    encode_body,
)

SENDER = Sender("gw-batch", 77, 9, 1_780_000_000_000, 120)


def opened(sealed: list[Sealed]) -> list[Envelope]:
    return [open_envelope(one.payload) for one in sealed]


async def taken(outbox: MemoryOutbox, bodies: list[bytes]) -> list[Record]:
    clock = ManualClock()
    await outbox.append(
        [NewRecord(Lane.LIVE, None, clock.mono_ms(), clock.wall_ms(), body) for body in bodies]
    )
    return await outbox.take(Choice.LIVE, max_records=1 << 20, max_bytes=1 << 40)


@pytest.fixture
def outbox() -> MemoryOutbox:
    return MemoryOutbox(ManualClock(), live_age_ms=60_000)


async def test_an_envelope_says_whence_and_what(outbox: MemoryOutbox) -> None:
    keys = [SeriesKey("ble:1", 3), SeriesKey("ble:1", 4), SeriesKey("ble:2", 4)]
    numbers = [outbox.series_number(key) for key in keys]
    body = EventBody(0, TimeMethod.RECEIPT, None, 0, None, None, numbers[1:], [1, 2], [0, 0])
    [sealed] = seal_records(outbox, SENDER, await taken(outbox, [encode_body(body)] * 3))
    [envelope] = opened([sealed])
    assert (envelope.gateway, envelope.epoch, envelope.batch) == ("gw-batch", 77, 9)
    assert (envelope.sent_at_ms, envelope.offset_min) == (1_780_000_000_000, 120)
    assert [entry.key for entry in envelope.series] == keys[1:]  # those that are used, once
    assert sealed.seqs == sums(envelope.seqs) == [1, 2, 3]
    assert envelope.bodies == [body] * 3


async def test_records_are_sent_in_order_of_seq_whatever_order_they_are_taken_in(
    outbox: MemoryOutbox,
) -> None:
    """Seqs travel as differences, which are never negative."""
    body = encode_body(WaveformBody(outbox.series_number(SeriesKey("a", 1)), 1, 0, 0, b""))
    records = await taken(outbox, [body] * 4)
    records.reverse()
    [envelope] = opened(seal_records(outbox, SENDER, records))
    assert sums(envelope.seqs) == [1, 2, 3, 4]


@pytest.mark.parametrize("size", [100, 9_000, 40_000])
async def test_what_does_not_fit_one_message_is_cut(outbox: MemoryOutbox, size: int) -> None:
    number = outbox.series_number(SeriesKey("a", 1))
    bodies = [
        encode_body(WaveformBody(number, 1, 0, 0, os.urandom(size))) for _ in range(400_000 // size)
    ]
    sealed = seal_records(outbox, SENDER, await taken(outbox, bodies))
    assert max(len(one.payload) for one in sealed) <= MAX_BYTES
    seqs = [seq for envelope in opened(sealed) for seq in sums(envelope.seqs)]
    assert seqs == [seq for one in sealed for seq in one.seqs] == list(range(1, len(bodies) + 1))


async def test_a_record_larger_than_a_message_is_pointed_out(outbox: MemoryOutbox) -> None:
    number = outbox.series_number(SeriesKey("a", 1))
    bodies = [
        encode_body(WaveformBody(number, 1, 0, 0, os.urandom(size))) for size in (10, 70_000, 10)
    ]
    sealed = seal_records(outbox, SENDER, await taken(outbox, bodies))
    assert [(one.seqs, one.fault) for one in sealed if not one.payload] == [([2], "too-large")]
    assert sorted(seq for one in sealed for seq in one.seqs if one.payload) == [1, 3]


@given(st.lists(st.integers(0, 30_000), min_size=1, max_size=12))
async def test_every_record_is_in_exactly_one_message(sizes: list[int]) -> None:
    outbox = MemoryOutbox(ManualClock(), live_age_ms=60_000)
    number = outbox.series_number(SeriesKey("a", 1))
    bodies = [encode_body(WaveformBody(number, 1, 0, 0, os.urandom(size))) for size in sizes]
    sealed = seal_records(outbox, SENDER, await taken(outbox, bodies))
    assert sorted(seq for one in sealed for seq in one.seqs) == list(range(1, len(sizes) + 1))
    assert all(0 < len(one.payload) <= MAX_BYTES for one in sealed)
