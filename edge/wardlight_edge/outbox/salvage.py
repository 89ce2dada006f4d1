"""Accepting the rows of a file that was set aside again, a portion at a time.

Each portion is one transaction of the new file: the rows under new seqs, and how far we are, so
that a kill at any point repeats and forgets nothing. A row keeps its event id, times, boot number
and body; its series numbers still mean the same, because the new file took over the dictionary.
The end is a status record "outbox-replaced" (old epoch, highest old seq, recovered, lost) and,
when something was lost, a gap record with the cause.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from wardlight_edge.outbox import aside
from wardlight_edge.outbox.base import NewRecord
from wardlight_edge.outbox.batch import Batch
from wardlight_edge.outbox.database import Database
from wardlight_edge.outbox.dictionary import Dictionary
from wardlight_edge.outbox.queues import Moment
from wardlight_edge.outbox.rows import Rows
from wardlight_edge.outbox.used_series import used_series
from wardlight_edge.outbox.wreck import OldRow, Wreck
from wardlight_shared.errors import EnvelopeError, StorageError
from wardlight_shared.records import GapBody, Lane, StatusBody, encode_body

_PORTION: Final = 200
_LANES: Final = tuple(Lane)
_FINISHED: Final = -1  # value of next_seq when only the file itself is left to remove
UNKNOWN: Final = -1
_MOST_COUNT: Final = (1 << 31) - 1

_log = logging.getLogger(__name__)


class Progress(msgspec.Struct, frozen=True):
    """One row of the table `salvage`.

    epoch     of the old file, 0 = could not be read
    next_seq  old seq to go on with
    highest   newest old seq, as far as it is known
    expected  records the old file held when it was set aside; UNKNOWN after a start
    lost      records that could not be read; estimated while ``expected`` is UNKNOWN, and UNKNOWN
              when nothing of the file can be read
    """

    file: str
    cause: str
    epoch: int
    next_seq: int
    highest: int
    expected: int
    recovered: int = 0
    lost: int = 0

    def after(self, recovered: int, lost: int, next_seq: int) -> "Progress":
        """Progress after one portion."""
        recovered += self.recovered
        lost += self.lost
        return msgspec.structs.replace(self, recovered=recovered, lost=lost, next_seq=next_seq)

    def unreadable(self) -> "Progress":
        """Progress when nothing more of the file can be read."""
        return msgspec.structs.replace(self, lost=UNKNOWN)

    def finished(self) -> "Progress":
        """Progress when the last portion was read."""
        lost = self.lost if self.expected == UNKNOWN else max(0, self.expected - self.recovered)
        return msgspec.structs.replace(self, lost=lost, next_seq=_FINISHED)


class Salvage:
    """Works through the table `salvage` of an open outbox file."""

    def __init__(
        self, folder: Path, key: bytes, database: Database, rows: Rows, dictionary: Dictionary
    ) -> None:
        self._folder = folder
        self._key = key
        self._database = database
        self._rows = rows
        self._dictionary = dictionary
        self._wreck: Wreck | None = None
        self._wreck_file = ""
        self._queue = self._load()

    @property
    def is_running(self) -> bool:
        """Whether any file is left to work on."""
        return bool(self._queue)

    def step(self, now: Moment) -> None:
        """Accept one more portion, or finish a file."""
        progress = self._queue[0]
        path = self._folder / progress.file
        if progress.next_seq == _FINISHED:
            self._remove(progress, path)
            return
        wreck = self._open(progress, path)
        if wreck is None:
            self._finish(progress.unreadable(), self._rows.batch(now.mono_ms), now)
            return
        portion = wreck.read(progress.next_seq, progress.highest, _PORTION)
        usable, unusable = self._usable(portion.rows)
        done = progress.after(len(usable), portion.lost + unusable, portion.next_seq)
        if portion.is_last:
            rejected, _ = self._usable(wreck.rejected())
            self._finish(done, self._batch([*usable, *rejected], now), now)
        else:
            self._store(self._batch(usable, now), done)

    def close(self) -> None:
        """Close the old file; the work goes on with the next start."""
        if self._wreck is not None:
            self._wreck.close()
            self._wreck = None

    def _load(self) -> list[Progress]:
        columns = ", ".join(Progress.__struct_fields__)
        sql = f"SELECT {columns} FROM salvage ORDER BY file"  # noqa: S608 - the struct's own names
        return [Progress(*row) for row in self._database.rows(sql)]

    def _open(self, progress: Progress, path: Path) -> Wreck | None:
        if self._wreck is not None and self._wreck_file == progress.file:
            return self._wreck
        self.close()
        try:
            self._wreck = Wreck(path, self._key)
        except StorageError as error:
            _log.error("nothing of the old outbox can be read", extra={"error": str(error)})
            return None
        self._wreck_file = progress.file
        return self._wreck

    def _finish(self, progress: Progress, batch: Batch, now: Moment) -> None:
        """The last portion: with it go the records that tell how it ended."""
        done = progress.finished()
        batch.add(_reports(done, now), now.boot)
        self._store(batch, done)
        _log.warning(
            "old outbox worked through",
            extra={"file": done.file, "recovered": done.recovered, "lost": done.lost},
        )

    def _batch(self, rows: Sequence[OldRow], now: Moment) -> Batch:
        batch = self._rows.batch(now.mono_ms, self._rows.event_ids(row.event_id for row in rows))
        for row in rows:
            record = NewRecord(_LANES[row.lane], row.event_id, row.mono_ms, row.wall_ms, row.body)
            batch.add([record], row.boot, is_past=True)
        return batch

    def _store(self, batch: Batch, done: Progress) -> None:
        with self._database.transaction():
            series = self._rows.write(batch)
            self._database.execute(
                "UPDATE salvage SET next_seq = ?, recovered = ?, lost = ? WHERE file = ?",
                (done.next_seq, done.recovered, done.lost, done.file),
            )
        self._rows.committed(batch, series)
        self._queue[0] = done

    def _remove(self, progress: Progress, path: Path) -> None:
        self.close()
        if progress.lost:
            aside.keep_damaged(path)
        else:
            aside.remove(path)
        self._database.execute("DELETE FROM salvage WHERE file = ?", (progress.file,))
        del self._queue[0]

    def _usable(self, rows: Sequence[OldRow]) -> tuple[list[OldRow], int]:
        """Leave out bodies whose series are not in the dictionary: nobody could read them."""
        usable = [row for row in rows if self._is_readable(row)]
        return usable, len(rows) - len(usable)

    def _is_readable(self, row: OldRow) -> bool:
        try:
            return row.lane < len(_LANES) and self._dictionary.knows(used_series(row.body))
        except EnvelopeError:
            return False


def _reports(progress: Progress, now: Moment) -> list[NewRecord]:
    data: dict[str, str | int | bool | None] = {
        "cause": progress.cause,
        "epoch": progress.epoch,
        "highest": progress.highest,
        "recovered": progress.recovered,
        "lost": None if progress.lost == UNKNOWN else progress.lost,
    }
    bodies = [encode_body(StatusBody(None, "outbox-replaced", data))]
    if progress.lost:
        count = min(max(0, progress.lost), _MOST_COUNT)
        bodies.append(encode_body(GapBody(progress.cause, None, count, 0)))
    return [NewRecord(Lane.LIVE, None, now.mono_ms, now.wall_ms, body) for body in bodies]
