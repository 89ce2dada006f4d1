"""The directory of waiting rows built from an outbox file, when it is opened."""

from collections.abc import Iterator
from typing import Final

from wardlight_edge.outbox.cipher import Cipher, DamagedRow
from wardlight_edge.outbox.database import Database
from wardlight_edge.outbox.packing import MOST_RECORDS
from wardlight_edge.outbox.queues import Queue, Waiting, hour_of
from wardlight_shared.errors import OutboxCorrupt

_QUEUES: Final = tuple(int(queue) for queue in Queue)


def load_rows(database: Database, waiting: Waiting) -> tuple[int, int]:
    """Enter every row, run by run; return the number of records and the newest seq.

    OutboxCorrupt when a row claims numbers of the next one, or what no row can be.
    """
    records = newest = 0
    queue = hour = first = 0
    for seq, more, row_queue, row_hour in _places(database):
        if seq <= newest or not 0 <= more < MOST_RECORDS:
            raise OutboxCorrupt(f"{database.path}: row {seq} cannot be as long as it says")
        if row_queue != queue or row_hour != hour:
            if row_queue not in _QUEUES or not isinstance(row_hour, int):
                raise OutboxCorrupt(f"{database.path}: row {seq} has no such place")
            if newest:
                waiting.added(Queue(queue), hour, first, newest)
            queue, hour, first = row_queue, row_hour, seq
        newest = seq + more
        records += more + 1
    if newest:
        waiting.added(Queue(queue), hour, first, newest)
    return records, newest


def load_live(database: Database, cipher: Cipher, waiting: Waiting, boot: int, now_ms: int) -> None:
    """A process that starts again within a boot goes on serving fresh records first."""
    since_ms = now_ms - waiting.live_ms
    sql = "SELECT seq, body FROM record WHERE queue = 1 AND hour >= ? ORDER BY seq"
    for first, body in database.stream(sql, (hour_of(boot, since_ms),)):
        try:
            held = cipher.open(first, body)
        except DamagedRow:
            continue  # found again, and reported, when it is taken
        if held.boot != boot:
            continue
        for seq, (mono_ms, _, _) in enumerate(held.records, first):
            if mono_ms >= since_ms:
                waiting.added_live(min(mono_ms, now_ms), seq, seq)


def _places(database: Database) -> Iterator[tuple[int, int, int, int]]:
    sql = "SELECT seq, kind >> 4, queue, hour FROM record ORDER BY seq"
    for chunk in database.chunks(sql):
        yield from chunk
