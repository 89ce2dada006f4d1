"""The life of an outbox file: made, opened, set aside, replaced by one that takes over from it.

What is found at start              what follows
a sound file                        it is opened
a damaged or truncated file         set aside, replaced, salvaged ("corrupt")
no file, but its log                the same: the log holds what was written last
a file without the log it had       the same ("vanished"): the newest rows may be gone
no file, no log, but a trace        a new file, and a report that an epoch has gone ("vanished")
nothing                             a new gateway: a new file
A file that is deleted or exchanged under the running gateway is copied out of SQLite's hands and
salvaged: nothing is lost if the gateway lives until the next look.
"""

import logging
import os
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from wardlight_edge.clock import Clock
from wardlight_edge.config import OutboxSettings
from wardlight_edge.outbox import aside, trace
from wardlight_edge.outbox.dictionary import Dictionary
from wardlight_edge.outbox.file import Carried, OutboxFile, open_file
from wardlight_edge.outbox.mending import has_only_log, is_gone
from wardlight_edge.outbox.progress import UNKNOWN, VANISHED, Begun
from wardlight_edge.outbox.queues import Waiting
from wardlight_edge.outbox.rows import Rows
from wardlight_edge.outbox.salvage import Salvage, continue_salvages, note_vanished
from wardlight_edge.outbox.thinning import Thinner
from wardlight_edge.outbox.trace import Trace
from wardlight_edge.outbox.wreck import Wreck
from wardlight_shared.errors import OutboxCorrupt, StorageError
from wardlight_shared.timestamps import Anchor

_log = logging.getLogger(__name__)


class OpenOutbox:
    """An open file and everything in memory that follows it."""

    def __init__(
        self,
        file: OutboxFile,
        rows: Rows,
        waiting: Waiting,
        salvage: Salvage,
        before: tuple[int, ...],
    ) -> None:
        self._before = before
        self.file = file
        self.database = file.database
        self.rows = rows
        self.waiting = waiting
        self.salvage = salvage
        self.thinner = Thinner(file.database, file.cipher, rows)
        self._log_path = file.database.path.with_name(file.database.path.name + "-wal")
        self._identity = _identity(file.database.path)
        self._log_identity = _identity(self._log_path)

    def close(self) -> None:
        """Close the file and, if one is being read, the old file."""
        self.salvage.close()
        # First: between SQLite's removal of the log and a later note the log would seem taken away.
        trace.write(self.database.path, Trace(self.file.epoch, False, self._before))
        self.file.close()

    def check_in_place(self) -> None:
        """OutboxCorrupt when the file at the path is not the open one; its rows are saved first."""
        path = self.database.path
        if _identity(path) == self._identity:
            return
        copy = aside.name_aside(path, "corrupt", datetime.now(UTC))
        try:
            self.database.copy_to(copy)
        except BaseException:
            aside.remove(copy)
            raise
        trace.write(copy, Trace(self.file.epoch, False, self._before))
        if self._log_identity and _identity(self._log_path) == self._log_identity:
            self._log_path.unlink()  # or it would be taken for the log of another file
        raise OutboxCorrupt(f"{path}: deleted or exchanged while in use; its rows are in {copy}")


def _add_boots(boots: dict[int, str], found: Mapping[int, object]) -> None:
    """Add what a damaged table says, as far as it can stand in a new one: every name once."""
    for number, name in found.items():
        if isinstance(number, int) and isinstance(name, str) and number not in boots:
            boots[number] = f"{name} ({number})" if name in boots.values() else name


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - with every operation
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


class Lifecycle:
    """Opens the file at ``path`` and replaces it when it cannot be used any more."""

    def __init__(
        self,
        path: Path,
        key: bytes,
        settings: OutboxSettings,
        clock: Clock,
        *,
        live_age_ms: int,
        dictionary: Dictionary,
    ) -> None:
        self._path = path
        self._log_path = path.with_name(path.name + "-wal")
        self._key = key
        self._settings = settings
        self._clock = clock
        self._live_age_ms = live_age_ms
        self._dictionary = dictionary

    def open(self) -> OpenOutbox:
        """Open the file, or make it; a damaged one is replaced.

        Raises ConfigError (wrong key, newer file) or StorageError.
        """
        known = trace.read(self._path)
        if has_only_log(self._path):
            _log.error("outbox file gone: its log is salvaged")
            return self.replace("corrupt", UNKNOWN)
        if is_gone(self._path):
            return self._make({}, known, known)
        if known is not None and known.is_used and not self._log_path.exists():
            _log.error("the log of the outbox is gone: the newest rows may be lost")
            return self.replace(VANISHED, UNKNOWN)
        try:
            return self._opened(Carried({}, (), ()), known=known)
        except OutboxCorrupt as error:
            _log.error("outbox damaged: set aside", extra={"error": str(error)})
            return self.replace("corrupt", UNKNOWN)

    def replace(self, cause: str, expected: int) -> OpenOutbox:
        """Set the (closed) file aside and make a new one; ``expected`` records waited in it."""
        known = trace.read(self._path)
        path = aside.set_aside(self._path, cause, datetime.now(UTC))
        kept = {found.epoch for one in aside.waiting(self._path) if (found := trace.read(one))}
        is_kept = known is None or known.epoch in kept
        return self._make({path.name: expected}, None if is_kept else known, known)

    def _make(
        self, expected: dict[str, int], vanished: Trace | None, former: Trace | None
    ) -> OpenOutbox:
        """Make a file that takes over from every file set aside, and tells of one that is gone."""
        boots: dict[int, str] = {}
        anchors: list[Anchor] = []
        salvages: list[tuple[str, str, int, int, int]] = []
        begun: dict[str, Begun] = {}
        for path in aside.waiting(self._path):
            epoch, highest = self._take_over(path, boots, anchors, begun)
            waited = expected.get(path.name, UNKNOWN)
            salvages.append((path.name, aside.cause_of(path), epoch, highest, waited))
        if vanished is not None:
            _log.error("the outbox file is gone: what waited in it is lost")
            missing = aside.name_aside(self._path, VANISHED, datetime.now(UTC))
            trace.write(missing, vanished)
            salvages.append((missing.name, VANISHED, vanished.epoch, 0, UNKNOWN))
        before = () if former is None else former.lineage
        return self._opened(Carried(boots, anchors, salvages), begun, before=before)

    def _take_over(
        self,
        path: Path,
        boots: dict[int, str],
        anchors: list[Anchor],
        begun: dict[str, Begun],
    ) -> tuple[int, int]:
        """Enter what an old file knows; return its epoch and highest seq, 0 where unreadable."""
        try:
            with closing(Wreck(path, self._key)) as wreck:
                series, is_whole = wreck.series()
                self._dictionary.restore(series, complete=is_whole)
                old_boots, old_anchors = wreck.boots_and_anchors()
                _add_boots(boots, old_boots)
                anchors.extend(old_anchors)
                begun.update(wreck.salvages())
                return wreck.epoch, wreck.highest()
        except StorageError as error:
            _log.error("the file set aside cannot be read", extra={"error": str(error)})
            self._dictionary.restore({}, complete=False)
            known = trace.read(path)
            return (0 if known is None else known.epoch), 0

    def _opened(
        self,
        carried: Carried,
        begun: Mapping[str, Begun] | None = None,
        known: Trace | None = None,
        before: tuple[int, ...] = (),
    ) -> OpenOutbox:
        file = open_file(
            self._path,
            self._key,
            quota_bytes=self._settings.quota_bytes,
            dictionary=self._dictionary,
            carried=carried,
        )
        try:
            file.enter_boot(self._clock.boot_id())
            continue_salvages(file.database, begun or {})
            if known is not None and known.epoch != file.epoch:
                _log.error("the outbox file was exchanged: what waited in the former one is lost")
                name = aside.name_aside(self._path, VANISHED, datetime.now(UTC)).name
                note_vanished(file.database, name, known.epoch)
            waiting = Waiting(self._live_age_ms)
            rows = Rows(file.database, file.cipher, self._dictionary, waiting)
            rows.load(file.boot, self._clock.mono_ms())
            folder = self._path.parent
            salvage = Salvage(folder, self._key, file.database, rows, self._dictionary)
            if known is not None and (rows.records or salvage.is_running):
                before = known.before if known.epoch == file.epoch else known.lineage
            trace.write(self._path, Trace(file.epoch, self._log_path.exists(), before))
        except BaseException:
            file.close()
            raise
        return OpenOutbox(file, rows, waiting, salvage, before)
