"""The life of an outbox file: made, opened, set aside, replaced by one that takes over from it.

What is found at start              what follows
a sound file                        it is opened
a damaged or truncated file or log  set aside, replaced, salvaged ("corrupt")
a file older than its trace says    the same: rows that were accepted are gone
no file, but its log                the same: the log holds what was written last
a file without the log it had       the same ("vanished"): the newest rows may be gone
no file, no log, but a trace        a new file, and a report that an epoch has gone ("vanished")
a file of another epoch             both: the former one has gone, and this one is salvaged
nothing                             a new gateway: a new file
one of these, of a newer program    ConfigError: it is left as it is

A file that is deleted or exchanged under the running gateway is copied out of SQLite's hands and
salvaged: nothing is lost if the gateway lives until the next look.
"""

import logging
from collections.abc import Iterable, Mapping
from contextlib import closing, suppress
from pathlib import Path

from wardlight_edge.clock import Clock
from wardlight_edge.config import OutboxSettings
from wardlight_edge.outbox import aside, trace
from wardlight_edge.outbox.database import DiskFull
from wardlight_edge.outbox.dictionary import Dictionary
from wardlight_edge.outbox.file import Carried, open_file, refuse_newer
from wardlight_edge.outbox.log_check import is_log_damaged
from wardlight_edge.outbox.mending import has_only_log, is_gone, schema_of
from wardlight_edge.outbox.open_outbox import OpenOutbox, aside_time
from wardlight_edge.outbox.progress import CORRUPT, UNKNOWN, VANISHED, Begun
from wardlight_edge.outbox.queues import Waiting
from wardlight_edge.outbox.rows import Rows
from wardlight_edge.outbox.salvage import Salvage, continue_salvages
from wardlight_edge.outbox.trace import Trace
from wardlight_edge.outbox.wreck import Wreck
from wardlight_shared.errors import ConfigError, OutboxCorrupt, StorageError
from wardlight_shared.timestamps import Anchor

_log = logging.getLogger(__name__)


def _add_boots(boots: dict[int, str], found: Mapping[int, object]) -> None:
    """Add what a damaged table says, as far as it can stand in a new one: every name once."""
    for number, name in found.items():
        if isinstance(number, int) and isinstance(name, str) and number not in boots:
            boots[number] = f"{name} ({number})" if name in boots.values() else name


class _Exchanged(Exception):
    """The file is sound, and not the one that was here."""

    def __init__(self, epoch: int) -> None:
        super().__init__()
        self.epoch = epoch


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

        Raises ConfigError (wrong key, newer file, no file at all) or StorageError.
        """
        self._refuse_no_file()
        known = trace.read(self._path)
        if has_only_log(self._path):
            _log.error("outbox file gone: its log is salvaged")
            return self.replace(CORRUPT, UNKNOWN)
        if is_gone(self._path):
            self._refuse_newer()
            self._path.unlink(missing_ok=True)  # a part of the first page, which tells nothing
            return self._make({}, known, known)
        if known is not None and known.is_used and not self._log_path.exists():
            _log.error("the log of the outbox is gone: the newest rows may be lost")
            return self.replace(VANISHED, UNKNOWN)
        try:
            least_bytes = known.log_bytes if known is not None and known.is_used else 0
            if is_log_damaged(self._log_path, least_bytes):
                raise OutboxCorrupt(f"{self._log_path}: damaged")  # noqa: TRY301 - as the others
            return self._opened(Carried({}, (), ()), known=known)
        except _Exchanged as error:
            _log.error("the outbox file was exchanged: what waited in the former one is lost")
            return self._replace_foreign(error.epoch, known)
        except OutboxCorrupt as error:
            _log.error("outbox damaged: set aside", extra={"error": str(error)})
            return self.replace(CORRUPT, UNKNOWN)

    def replace(self, cause: str, expected: int) -> OpenOutbox:
        """Set the (closed) file aside and make a new one; ``expected`` records waited in it.

        ConfigError, and nothing is touched, when a newer program made the file.
        """
        self._refuse_newer()
        known = trace.read(self._path)
        path = aside.set_aside(self._path, cause, aside_time(self._clock))
        kept = {found.epoch for one in aside.waiting(self._path) if (found := trace.read(one))}
        is_kept = known is None or known.epoch in kept
        return self._make({path.name: expected}, None if is_kept else known, known)

    def _refuse_no_file(self) -> None:
        """What no program of ours put there is for a person to look at: nothing is touched."""
        for path in (self._path, self._log_path, trace.place(self._path)):
            if path.exists() and not path.is_file():
                raise ConfigError(
                    f"{path}: is a folder or another thing that is no file; move it away, and "
                    "start again"
                )

    def _refuse_newer(self) -> None:
        """Before a file is set aside: its rows, and those of files set aside, could not be read."""
        for path in (self._path, *aside.waiting(self._path)):
            if not is_gone(path):
                refuse_newer(path, schema_of(path))

    def _replace_foreign(self, epoch: int, known: Trace | None) -> OpenOutbox:
        """Its rows count under the numbers they had; the file that was here has gone."""
        path = aside.set_aside(self._path, CORRUPT, aside_time(self._clock))
        trace.write(path, Trace(epoch, is_used=False))
        return self._make({path.name: UNKNOWN}, known, known)

    def _make(
        self, expected: dict[str, int], vanished: Trace | None, former: Trace | None
    ) -> OpenOutbox:
        """Make a file that takes over from every file set aside, and tells of one that is gone."""
        boots: dict[int, str] = {}
        anchors: list[Anchor] = []
        salvages: list[tuple[str, str, int, int, int]] = []
        begun: dict[str, Begun] = {}
        before: list[Iterable[int]] = [former.lineage if former is not None else ()]
        for path in aside.waiting(self._path):
            epoch, highest, lineage = self._take_over(path, boots, anchors, begun)
            before.append(lineage)
            waited = expected.get(path.name, UNKNOWN)
            salvages.append((path.name, aside.cause_of(path), epoch, highest, waited))
        if vanished is not None:
            _log.error("the outbox file is gone: what waited in it is lost")
            missing = aside.name_aside(self._path, VANISHED, aside_time(self._clock))
            trace.write(missing, vanished)
            newest = vanished.newest
            salvages.append((missing.name, VANISHED, vanished.epoch, newest, UNKNOWN))
        lineage = trace.one_after_another(*before)
        return self._opened(Carried(boots, anchors, salvages, lineage), begun)

    def _take_over(
        self,
        path: Path,
        boots: dict[int, str],
        anchors: list[Anchor],
        begun: dict[str, Begun],
    ) -> tuple[int, int, tuple[int, ...]]:
        """Enter what an old file knows; return its epoch and highest seq (0 where unreadable), and
        its own epoch with those before it."""
        known = trace.read(path)
        newest = 0 if known is None else known.newest
        try:
            with closing(Wreck(path, self._key)) as wreck:
                series, is_whole = wreck.series()
                self._dictionary.restore(series, complete=is_whole)
                old_boots, old_anchors = wreck.boots_and_anchors()
                _add_boots(boots, old_boots)
                anchors.extend(old_anchors)
                begun.update(wreck.salvages())
                return wreck.epoch, max(newest, wreck.highest()), wreck.before()
        except StorageError as error:
            _log.error("the file set aside cannot be read", extra={"error": str(error)})
            self._dictionary.restore({}, complete=False)
            return (0, 0, ()) if known is None else (known.epoch, newest, known.lineage)

    def _opened(
        self,
        carried: Carried,
        begun: Mapping[str, Begun] | None = None,
        known: Trace | None = None,
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
                raise _Exchanged(file.epoch)  # noqa: TRY301 - closed below
            waiting = Waiting(self._live_age_ms)
            rows = Rows(file.database, file.cipher, self._dictionary, waiting)
            rows.load(file.boot, self._clock.mono_ms())
            if known is not None and rows.highest < known.newest:
                raise OutboxCorrupt(  # noqa: TRY301 - closed below
                    f"{self._path}: holds numbers up to {rows.highest} of {known.newest}"
                )
            folder = self._path.parent
            salvage = Salvage(folder, self._key, file, rows, self._dictionary)
            if not salvage.files.issuperset(one.name for one in aside.waiting(self._path)):
                raise OutboxCorrupt(  # noqa: TRY301 - closed below
                    f"{self._path}: names a file set aside that is not there, and lacks one that is"
                )
            if rows.records or salvage.is_running:
                file.keep_before([*file.before, *(known.before if known is not None else ())])
            else:
                file.keep_before(())  # all was delivered, with what was told of losses
            with suppress(DiskFull):
                # What a crash left behind the last commit would seem damage after the next one.
                file.database.truncate_log()
            log_exists = self._log_path.exists()
            trace.write(self._path, Trace(file.epoch, log_exists, file.before, rows.highest))
        except BaseException:
            file.close()
            raise
        return OpenOutbox(file, rows, waiting, salvage, self._clock)
