"""Records for outbox tests: short to write, with a number by which they are known again."""

import hashlib
from pathlib import Path

from support.manual_clock import ManualClock
from wardlight_edge.clock import Clock
from wardlight_edge.config import OutboxSettings
from wardlight_edge.outbox.base import NewRecord
from wardlight_edge.outbox.sqlite import SqliteOutbox
from wardlight_shared.records import (
    Lane,
    Record,
    StatusBody,
    WaveformBody,
    decode_body,
    encode_body,
)

KEY = bytes(range(32))
LIVE_AGE_MS = 60_000


def settings(
    *,
    quota_bytes: int = 64 << 20,
    min_free_bytes: int = 0,
    reserve_bytes: int = 0,
    linger_ms: int = 0,
) -> OutboxSettings:
    """Settings that ask nothing of the machine's disk."""
    return OutboxSettings(
        quota_bytes=quota_bytes,
        min_free_bytes=min_free_bytes,
        reserve_bytes=reserve_bytes,
        linger_ms=linger_ms,
    )


def sqlite_outbox(
    path: Path, clock: Clock, *, key: bytes = KEY, given: OutboxSettings | None = None
) -> SqliteOutbox:
    return SqliteOutbox(path, key, given or settings(), clock, live_age_ms=LIVE_AGE_MS)


def body(number: int, size: int = 0) -> bytes:
    return encode_body(StatusBody(None, "test", {"n": number, "fill": "x" * min(size, 256)}))


def number_of(record: Record) -> int:
    status = decode_body(record.body)
    assert isinstance(status, StatusBody)
    number = status.data["n"]
    assert isinstance(number, int)
    return number


def record(
    clock: ManualClock,
    number: int,
    lane: Lane = Lane.LIVE,
    *,
    age_ms: int = 0,
    event: str | None = None,
) -> NewRecord:
    """``age_ms``: how long ago it was received; ``event``: name of a device event."""
    event_id = None if event is None else hashlib.sha256(event.encode()).digest()[:16]
    return NewRecord(
        lane, event_id, clock.mono_ms() - age_ms, clock.wall_ms() - age_ms, body(number)
    )


def waveform(clock: ManualClock, lane: Lane = Lane.LIVE, size: int = 2000) -> NewRecord:
    block = WaveformBody(1, 250_000, 0, 0, bytes(size))
    return NewRecord(lane, None, clock.mono_ms(), clock.wall_ms(), encode_body(block))
