"""Accepting the rows of a file that was set aside again, a portion at a time.

Each portion is one transaction of the new file: the rows under new seqs, and how far we are, so
that a kill at any point repeats and forgets nothing. A row keeps its event id, times, boot number
and body; its series numbers still mean the same, because the new file took over the dictionary.
It also keeps its origin, the epoch and seq under which it was accepted first: the collector looks
there too, so a row that it had received already is not stored again (docs/decisions/012).

A portion with losses brings a gap record that names the old seqs which did not come back, as
numbers of the old epoch. That tells how many were lost, as far as the damage shows it. It need not
show: rows, acks and gaps may go without a trace. So at the end the old epoch is named whole, and
every epoch before it whose rows the file may have held: what the collector holds of them, or will,
it goes on holding, the others are lost. Last comes a status record "outbox-replaced" (old epoch,
highest old seq, recovered, lost).

A file that was rolled back gives its rows no origin: after a roll-back it gave out numbers that
the collector holds for other records, and an origin would drop the row.
"""

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from wardlight_edge.outbox import aside
from wardlight_edge.outbox.base import NewRecord
from wardlight_edge.outbox.batch import Batch
from wardlight_edge.outbox.database import Database
from wardlight_edge.outbox.dictionary import Dictionary
from wardlight_edge.outbox.file import OutboxFile
from wardlight_edge.outbox.origin import framed
from wardlight_edge.outbox.portion import OldRow, Portion
from wardlight_edge.outbox.progress import (
    FINISHED,
    ROLLED_BACK,
    VANISHED,
    Begun,
    NewBody,
    Progress,
    news_record,
)
from wardlight_edge.outbox.queues import Moment
from wardlight_edge.outbox.rows import Rows
from wardlight_edge.outbox.used_series import used_series
from wardlight_edge.outbox.wreck import Wreck
from wardlight_shared.errors import EnvelopeError, StorageError
from wardlight_shared.records import (
    GapBody,
    Kind,
    Lane,
    Origin,
    decode_body,
    encode_body,
)

_PORTION: Final = 200
_LANES: Final = tuple(Lane)

_log = logging.getLogger(__name__)


class Salvage:
    """Works through the table `salvage` of an open outbox file."""

    def __init__(
        self,
        folder: Path,
        key: bytes,
        file: OutboxFile,
        rows: Rows,
        dictionary: Dictionary,
    ) -> None:
        self._folder = folder
        self._key = key
        self._file = file
        self._database = file.database
        self._rows = rows
        self._dictionary = dictionary
        self._wreck: Wreck | None = None
        self._wreck_file = ""
        self._queue = self._load()

    @property
    def is_running(self) -> bool:
        """Whether any file is left to work on."""
        return bool(self._queue)

    @property
    def files(self) -> set[str]:
        """Names of the files that are left to work on."""
        return {progress.file for progress in self._queue}

    def step(self, now: Moment) -> None:
        """Accept one more portion, or finish a file."""
        progress = self._queue[0]
        path = self._folder / progress.file
        if progress.next_seq == FINISHED:
            self._remove(progress, path)
            return
        wreck = self._open(progress, path)
        if wreck is None:
            self._finish(progress.unreadable(), [], 0, now)
            return
        portion = self._usable(wreck.read(progress.next_seq, progress.highest, _PORTION))
        done = progress.after(len(portion.rows), portion.lost, portion.next_seq)
        if portion.is_last:
            self._last(progress, done, portion, now)
        else:
            gaps = []
            holes = portion.without(progress.next_seq)
            if portion.lost or (progress.cause == VANISHED and holes):
                gaps.append(done.gap(portion.lost, holes))
            self._store(self._batch(portion.rows, gaps, done, now), done)

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

    def _last(self, before: Progress, done: Progress, portion: Portion, now: Moment) -> None:
        finished = done.finished()
        rows = portion.rows
        if self._wreck is not None:
            rejected = Portion(self._wreck.rejected(), portion.next_seq, 0, is_last=True)
            rows = [*rows, *self._usable(rejected).rows]
        self._finish(finished, rows, finished.lost - before.lost, now)

    def _finish(self, done: Progress, rows: Sequence[OldRow], untold: int, now: Moment) -> None:
        """With the last rows go the records that tell how it ended."""
        told = [*done.named(untold, self._file.before), done.report()]
        self._store(self._batch(rows, told, done, now), done)
        _log.warning(
            "old outbox worked through",
            extra={"file": done.file, "recovered": done.recovered, "lost": done.lost},
        )

    def _batch(
        self, rows: Sequence[OldRow], told: Sequence[NewBody], progress: Progress, now: Moment
    ) -> Batch:
        batch = self._rows.batch(now.mono_ms, self._rows.event_ids(row.event_id for row in rows))
        for row in rows:
            body, origin = _moved(row, progress)
            held = framed(body, origin)
            record = NewRecord(_LANES[row.lane], row.event_id, row.mono_ms, row.wall_ms, held)
            batch.add([record], row.boot, is_past=True)
        batch.add([news_record(news, now) for news in told], now.boot)
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
        if progress.lost or progress.cause == VANISHED:
            aside.keep_damaged(path)
        else:
            aside.remove(path)
        self._database.execute("DELETE FROM salvage WHERE file = ?", (progress.file,))
        del self._queue[0]

    def _usable(self, portion: Portion) -> Portion:
        """Leave out bodies whose series are not in the dictionary: nobody could read them."""
        usable = [row for row in portion.rows if self._is_readable(row)]
        lost = portion.lost + len(portion.rows) - len(usable)
        return msgspec.structs.replace(portion, rows=usable, lost=lost)

    def _is_readable(self, row: OldRow) -> bool:
        try:
            return row.lane < len(_LANES) and self._dictionary.knows(used_series(row.body))
        except EnvelopeError:
            return False


def continue_salvages(database: Database, begun: Mapping[str, Begun]) -> None:
    """Go on where a damaged file had got to: its own rows hold what it had taken over.

    Only where a row taken over twice would count twice: others have an origin, and a damaged file
    is not to be believed how far it got.
    """
    if not begun:
        return
    with database.transaction():
        for file, progress in begun.items():
            if aside.cause_of(Path(file)) != ROLLED_BACK:
                continue
            database.execute(
                "UPDATE salvage SET next_seq = ?, expected = ?, recovered = ?, lost = ?"
                " WHERE file = ?",
                (*progress, file),
            )


def _moved(row: OldRow, progress: Progress) -> tuple[bytes, Origin | None]:
    """Body and origin of a row under a new epoch.

    Without origin the seqs that a gap names would be read as numbers of the new epoch.
    """
    if row.origin[0] != progress.epoch or progress.has_origins:
        return row.body, row.origin
    if row.body[1:2] == bytes([Kind.GAP]):
        with suppress(EnvelopeError):  # the collector refuses it, seqs and all
            gap = decode_body(row.body)
            if isinstance(gap, GapBody):
                return encode_body(msgspec.structs.replace(gap, seqs=None)), None
    return row.body, None
