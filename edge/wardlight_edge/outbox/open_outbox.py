"""An open outbox file and everything in memory that follows it."""

import logging
import os
from datetime import UTC, datetime
from pathlib import Path

from wardlight_edge.clock import Clock
from wardlight_edge.outbox import aside, trace
from wardlight_edge.outbox.file import OutboxFile
from wardlight_edge.outbox.progress import CORRUPT, buried, news_record
from wardlight_edge.outbox.queues import Moment, Waiting
from wardlight_edge.outbox.rows import Rows
from wardlight_edge.outbox.salvage import Salvage
from wardlight_edge.outbox.thinning import Thinner
from wardlight_edge.outbox.trace import Trace
from wardlight_shared.errors import OutboxCorrupt

_log = logging.getLogger(__name__)


class OpenOutbox:
    """An open file and everything in memory that follows it."""

    def __init__(
        self,
        file: OutboxFile,
        rows: Rows,
        waiting: Waiting,
        salvage: Salvage,
        clock: Clock,
    ) -> None:
        self._clock = clock
        self.file = file
        self.database = file.database
        self.rows = rows
        self.waiting = waiting
        self.salvage = salvage
        self.thinner = Thinner(file.database, file.cipher, rows)
        self._log_path = file.database.path.with_name(file.database.path.name + "-wal")
        self._identity = _identity(file.database.path)
        self._log_identity = _identity(self._log_path)
        self._witness = trace.Witness(file.database.path)
        self._noted = rows.highest, 0

    def moment(self) -> Moment:
        """Now, on the clocks of the running boot."""
        return Moment(self.file.boot, self._clock.mono_ms(), self._clock.wall_ms())

    def bury(self, damaged: list[tuple[int, int]]) -> None:
        """Rows that fail their authentication can be read by nobody: name them as a gap.

        ``damaged``: (first, last) as ``Rows.take`` returned them.
        """
        moment = self.moment()
        reaches = [self.rows.reach(first) for first, _ in damaged]
        told = buried(damaged, reaches, self.file.before)
        batch = self.rows.batch(moment.mono_ms)
        batch.add([news_record(one, moment) for one in told], moment.boot)
        removed = self.rows.bury(damaged, batch)
        _log.error("damaged records removed and reported as a gap", extra={"records": removed})

    def note(self) -> None:
        """After an operation: what is on the disk now, for whoever opens the files next."""
        newest, log_bytes = self._noted
        if self.rows.highest != newest:
            self._note(self.rows.highest, log_bytes)

    def note_log(self) -> None:
        """In a quiet moment: how large the log is."""
        newest, known = self._noted
        log_bytes = self.database.lasting_log_bytes()
        if log_bytes != known:
            self._note(newest, log_bytes)

    def _note(self, newest: int, log_bytes: int) -> None:
        self._noted = newest, log_bytes
        self._witness.note(newest, log_bytes)

    def close(self) -> None:
        """Close the file and, if one is being read, the old file."""
        self.salvage.close()
        self._witness.close()
        # First: between SQLite's removal of the log and a later note the log would seem taken away.
        trace.write(self.database.path, self._shut())
        self.file.close()

    def _shut(self) -> Trace:
        return Trace(self.file.epoch, False, self.file.before, self.rows.highest)

    def check_in_place(self) -> None:
        """OutboxCorrupt when the file at the path is not the open one; its rows are saved first."""
        path = self.database.path
        if _identity(path) == self._identity:
            return
        copy = aside.name_aside(path, CORRUPT, aside_time(self._clock))
        try:
            self.database.copy_to(copy)
        except BaseException:
            aside.remove(copy)
            raise
        trace.write(copy, self._shut())
        if self._log_identity and _identity(self._log_path) == self._log_identity:
            self._log_path.unlink()  # or it would be taken for the log of another file
        raise OutboxCorrupt(f"{path}: deleted or exchanged while in use; its rows are in {copy}")


def aside_time(clock: Clock) -> datetime:
    """The time for the name of a file that is set aside now."""
    return datetime.fromtimestamp(clock.wall_ms() / 1000, UTC)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - with every operation
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
