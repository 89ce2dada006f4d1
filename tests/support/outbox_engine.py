"""An outbox without its thread, for tests that look into its file."""

from pathlib import Path

from support.manual_clock import ManualClock
from support.outbox_records import KEY, LIVE_AGE_MS, settings
from wardlight_edge.outbox.base import Choice
from wardlight_edge.outbox.database import Database
from wardlight_edge.outbox.dictionary import Dictionary
from wardlight_edge.outbox.engine import Engine
from wardlight_edge.outbox.open_outbox import OpenOutbox
from wardlight_edge.outbox.settlement import Settlement
from wardlight_shared.records import Record, StatusBody, decode_body

_MUCH = 1 << 30


def opened_engine(path: Path, clock: ManualClock, *, quota_bytes: int = 64 << 20) -> Engine:
    """A new one, opened; ``close`` is the caller's."""
    engine = Engine(
        path,
        KEY,
        settings(quota_bytes=quota_bytes),
        clock,
        live_age_ms=LIVE_AGE_MS,
        dictionary=Dictionary(),
    )
    engine.open()
    return engine


def current(engine: Engine) -> OpenOutbox:
    """Its open file."""
    found = engine._current
    assert found is not None
    return found


def database_of(engine: Engine) -> Database:
    return current(engine).database


def everything(engine: Engine) -> list[Record]:
    """All that waits, leased."""
    return [one for choice in Choice for one in engine.take(choice, _MUCH, _MUCH)]


def numbered(records: list[Record]) -> dict[int, Record]:
    """Those made by ``outbox_records.record``, by number; each once."""
    found: dict[int, Record] = {}
    for one in records:
        body = decode_body(one.body)
        if isinstance(body, StatusBody) and body.name == "test":
            number = body.data["n"]
            assert isinstance(number, int)
            assert number not in found, "stored twice"
            found[number] = one
    return found


def settled(engine: Engine, *spans: tuple[int, int]) -> int:
    """Settle spans of the present epoch; return how many records were removed."""
    ack = Settlement(spans, ())
    while (removed := engine.settle(engine.epoch, ack)) is None:
        pass
    return removed


def damage_row(engine: Engine, first: int, *, claimed: int | None = None) -> None:
    """Flip a bit of a row in the open file; ``claimed``: how many records it says it holds."""
    database = database_of(engine)
    [(kind, sealed)] = database.rows("SELECT kind, body FROM record WHERE seq = ?", (first,))
    damaged = bytearray(sealed)
    damaged[50] ^= 1
    if claimed is not None:
        kind = kind % 16 + 16 * (claimed - 1)
    database.execute("UPDATE record SET kind = ?, body = ? WHERE seq = ?", (kind, damaged, first))
