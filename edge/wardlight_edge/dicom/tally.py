"""What the imaging process counts since its start, for status and health; no names, no UIDs."""

import threading
import time

import msgspec


class Counts(msgspec.Struct, frozen=True):
    """A moment of the tally. ``last_trouble``: what was refused last, and when (UTC, ms)."""

    associations: int = 0
    associations_refused: int = 0
    associations_aborted: int = 0
    stored: int = 0
    stored_bytes: int = 0
    known: int = 0
    conflicts: int = 0
    refused: int = 0
    last_stored_ms: int | None = None
    last_trouble: str | None = None
    last_trouble_ms: int | None = None


class Tally:
    """Counts of all associations; any thread may call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = Counts()

    def counts(self) -> Counts:
        """All counts now."""
        return self._counts

    def association(self) -> None:
        """An association was accepted."""
        with self._lock:
            now = self._counts
            self._counts = msgspec.structs.replace(now, associations=now.associations + 1)

    def rejected(self, why: str) -> None:
        """A request for an association was refused."""
        with self._lock:
            now = self._counts
            refused = now.associations_refused + 1
            self._trouble(msgspec.structs.replace(now, associations_refused=refused), why)

    def aborted(self, why: str) -> None:
        """An association ended by an abort or a broken connection."""
        with self._lock:
            now = self._counts
            aborted = now.associations_aborted + 1
            self._trouble(msgspec.structs.replace(now, associations_aborted=aborted), why)

    def stored(self, size: int, *, known: bool, conflict: bool) -> None:
        """An object was accepted."""
        with self._lock:
            now = self._counts
            self._counts = msgspec.structs.replace(
                now,
                stored=now.stored + 1,
                stored_bytes=now.stored_bytes + size,
                known=now.known + known,
                conflicts=now.conflicts + (conflict and not known),
                last_stored_ms=_now_ms(),
            )

    def refused(self, why: str) -> None:
        """A request was refused."""
        with self._lock:
            now = self._counts
            self._trouble(msgspec.structs.replace(now, refused=now.refused + 1), why)

    def _trouble(self, counts: Counts, why: str) -> None:
        self._counts = msgspec.structs.replace(counts, last_trouble=why, last_trouble_ms=_now_ms())


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
