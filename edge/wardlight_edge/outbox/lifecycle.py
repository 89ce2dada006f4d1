"""The life of an outbox file: made, opened, set aside, replaced by one that takes over from it."""

import logging
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from wardlight_edge.clock import Clock
from wardlight_edge.config import OutboxSettings
from wardlight_edge.outbox import aside
from wardlight_edge.outbox.dictionary import Dictionary
from wardlight_edge.outbox.file import Carried, OutboxFile, open_file
from wardlight_edge.outbox.queues import Waiting
from wardlight_edge.outbox.rows import Rows
from wardlight_edge.outbox.salvage import UNKNOWN, Salvage
from wardlight_edge.outbox.thinning import Thinner
from wardlight_edge.outbox.wreck import Wreck
from wardlight_shared.errors import OutboxCorrupt, StorageError
from wardlight_shared.timestamps import Anchor

_log = logging.getLogger(__name__)


class OpenOutbox:
    """An open file and everything in memory that follows it."""

    def __init__(self, file: OutboxFile, rows: Rows, waiting: Waiting, salvage: Salvage) -> None:
        self.file = file
        self.database = file.database
        self.rows = rows
        self.waiting = waiting
        self.salvage = salvage
        self.thinner = Thinner(file.database, file.cipher, rows)

    def close(self) -> None:
        """Close the file and, if one is being read, the old file."""
        self.salvage.close()
        self.file.close()


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
        self._key = key
        self._settings = settings
        self._clock = clock
        self._live_age_ms = live_age_ms
        self._dictionary = dictionary

    def open(self) -> OpenOutbox:
        """Open the file, or make it; a damaged one is replaced.

        Raises ConfigError (wrong key, newer file) or StorageError.
        """
        if not self._path.exists() or self._path.stat().st_size == 0:
            return self._make({})
        try:
            return self._opened(Carried({}, (), ()))
        except OutboxCorrupt as error:
            _log.error("outbox damaged: set aside", extra={"error": str(error)})
            return self.replace("corrupt", UNKNOWN)

    def replace(self, cause: str, expected: int) -> OpenOutbox:
        """Set the (closed) file aside and make a new one; ``expected`` records waited in it."""
        path = aside.set_aside(self._path, datetime.now(UTC))
        return self._make({path.name: (cause, expected)})

    def _make(self, causes: dict[str, tuple[str, int]]) -> OpenOutbox:
        """Make a file that takes over from every file set aside."""
        boots: dict[int, str] = {}
        anchors: list[Anchor] = []
        salvages: list[tuple[str, str, int, int, int]] = []
        for path in aside.waiting(self._path):
            cause, expected = causes.get(path.name, ("corrupt", UNKNOWN))
            epoch, highest = self._take_over(path, boots, anchors)
            salvages.append((path.name, cause, epoch, highest, expected))
        return self._opened(Carried(boots, anchors, salvages))

    def _take_over(
        self, path: Path, boots: dict[int, str], anchors: list[Anchor]
    ) -> tuple[int, int]:
        """Enter what an old file knows; return its epoch and highest seq, 0 where unreadable."""
        try:
            with closing(Wreck(path, self._key)) as wreck:
                series, is_whole = wreck.series()
                self._dictionary.restore(series, complete=is_whole)
                old_boots, old_anchors = wreck.boots_and_anchors()
                boots.update(old_boots)
                anchors.extend(old_anchors)
                return wreck.epoch, wreck.highest()
        except StorageError as error:
            _log.error("the file set aside cannot be read", extra={"error": str(error)})
            self._dictionary.restore({}, complete=False)
            return 0, 0

    def _opened(self, carried: Carried) -> OpenOutbox:
        file = open_file(
            self._path,
            self._key,
            quota_bytes=self._settings.quota_bytes,
            dictionary=self._dictionary,
            carried=carried,
        )
        try:
            file.enter_boot(self._clock.boot_id())
            waiting = Waiting(self._live_age_ms)
            rows = Rows(file.database, file.cipher, self._dictionary, waiting)
            rows.load(file.boot, self._clock.mono_ms())
            folder = self._path.parent
            salvage = Salvage(folder, self._key, file.database, rows, self._dictionary)
        except BaseException:
            file.close()
            raise
        return OpenOutbox(file, rows, waiting, salvage)
