"""Modality Worklist SCP: C-FIND answered from the list that this gateway holds.

Whether the collector can be reached plays no part. How old the list is stands in the log of each
query; past the limit of the site's policy an answer says so, or there is none:

    mark    Error Comment (0000,0902) in every response, and where a modality asks for Comments on
            the Scheduled Procedure Step (0040,0400) it finds the same words there
    refuse  0xA700 with an Error Comment and no entries

Source  DICOM PS3.4, annex K (K.4.1.1: statuses), PS3.7, C
"""

import logging
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Final, Protocol

from pydicom.dataset import Dataset

from wardlight_edge.dicom import data_sets
from wardlight_edge.dicom.base import Bound, Peer, Reply, Request
from wardlight_edge.dicom.data_sets import TooMuch
from wardlight_edge.dicom.marks import ae_mark
from wardlight_edge.dicom.matching import answer, is_supported, matches
from wardlight_edge.imaging_settings import WorklistSettings
from wardlight_edge.spool.worklist import Freshness, HeldEntry
from wardlight_shared.errors import DecodeError

_log = logging.getLogger(__name__)
WORKLIST_FIND: Final = "1.2.840.10008.5.1.4.31"
_C_FIND: Final = 0x0020
SUCCESS: Final = 0x0000
PENDING: Final = 0xFF00
PENDING_SOME_KEYS: Final = 0xFF01  # a key with a value was not matched
CANCELLED: Final = 0xFE00
OUT_OF_RESOURCES: Final = 0xA700
NO_IDENTIFIER: Final = 0xA900
CANNOT_PROCESS: Final = 0xC001
NO_OPERATION: Final = 0x0211
_MOST_VALUES: Final = 4_000
_COMMENT_LENGTH: Final = 64  # Error Comment is an LO


class HeldWorklist(Protocol):
    """What the service asks of spool/worklist.py."""

    def entries(self) -> list[HeldEntry]:
        """The list."""

    def mark(self) -> tuple[int, int]:
        """Differs whenever ``entries`` may."""

    def freshness(self) -> Freshness:
        """How old it is."""


class WorklistService:
    """Implements Service."""

    sop_classes = frozenset({WORKLIST_FIND})
    bound = Bound(64 * 1024, OUT_OF_RESOURCES)

    def __init__(self, held: HeldWorklist, settings: WorklistSettings) -> None:
        self._held = held
        self._settings = settings
        self._lock = threading.Lock()
        self._mark: tuple[int, int] | None = None
        self._decoded: dict[int, tuple[int, Dataset | None]] = {}
        self._entries: list[Dataset] = []

    def answer(
        self, peer: Peer, request: Request, is_cancelled: Callable[[], bool]
    ) -> Iterator[Reply]:
        """See Service."""
        if request.command.get("CommandField") != _C_FIND:
            yield Reply(NO_OPERATION)
            return
        octets = request.data_set or b""
        try:
            identifier = data_sets.read(octets, request.transfer_syntax, most_values=_MOST_VALUES)
        except DecodeError as error:
            status = OUT_OF_RESOURCES if isinstance(error, TooMuch) else NO_IDENTIFIER
            yield Reply(status, command=_commented("The identifier cannot be read"))
            return
        freshness = self._held.freshness()
        note = stale_note(freshness, self._settings.stale_after_s)
        about = {
            "peer": ae_mark(peer.calling_ae),
            "age_s": None if freshness.age_s is None else round(freshness.age_s),
            "stale": note is not None,
        }
        if note is not None and (
            self._settings.when_stale == "refuse" or freshness.as_of_ms is None
        ):
            _log.warning("worklist query refused: the list is too old", extra=about)
            yield Reply(OUT_OF_RESOURCES, command=_commented(note))
            return
        count = 0
        for reply in self._replies(identifier, note, is_cancelled):
            count += reply.data_set is not None
            yield reply
        level = logging.INFO if note is None else logging.WARNING
        _log.log(level, "worklist query answered", extra={**about, "entries": count})

    def _replies(
        self, identifier: Dataset, note: str | None, is_cancelled: Callable[[], bool]
    ) -> Iterator[Reply]:
        command = None if note is None else _commented(note)
        for entry in self._current():
            if is_cancelled():
                yield Reply(CANCELLED)
                return
            if matches(identifier, entry):
                is_whole = is_supported(identifier, entry)
                found = answer(identifier, entry)
                if note is not None:
                    _comment_steps(found, note)
                yield Reply(PENDING if is_whole else PENDING_SOME_KEYS, found, command)
        yield Reply(SUCCESS, command=command)

    def _current(self) -> list[Dataset]:
        """The list decoded, in the order of start; what has changed is decoded anew."""
        with self._lock:
            mark = self._held.mark()
            if mark != self._mark:
                if self._mark is None or mark[0] != self._mark[0]:
                    self._decoded = {}  # a list that began anew may use revisions again
                self._decoded = {each.entry: self._read(each) for each in self._held.entries()}
                known = [found for _, found in self._decoded.values() if found is not None]
                self._entries = sorted(known, key=_start)
                self._mark = mark
            return self._entries

    def _read(self, entry: HeldEntry) -> tuple[int, Dataset | None]:
        known = self._decoded.get(entry.entry)
        if known is not None and known[0] == entry.revision:
            return known
        try:
            found = data_sets.read(
                entry.data_set, data_sets.EXPLICIT_LITTLE, most_values=_MOST_VALUES
            )
        except DecodeError as error:
            extra = {"entry": entry.entry, "error": str(error)}
            _log.error("worklist entry left out", extra=extra)
            return entry.revision, None
        return entry.revision, found


def stale_note(freshness: Freshness, stale_after_s: float) -> str | None:
    """What a modality is told of a list that is too old; None where it is not."""
    if freshness.as_of_ms is None:
        return "No worklist has been received yet"
    if freshness.age_s is not None and freshness.age_s <= stale_after_s:
        return None
    as_of = datetime.fromtimestamp(freshness.as_of_ms / 1000, UTC)
    return f"Worklist of {as_of:%Y-%m-%d %H:%M} UTC, may be out of date"[:_COMMENT_LENGTH]


def _commented(text: str) -> Dataset:
    command = Dataset()
    command.ErrorComment = text[:_COMMENT_LENGTH]
    return command


def _comment_steps(found: Dataset, note: str) -> None:
    """The note before the comment of each step, where comments were asked for."""
    for step in data_sets.items(found, "ScheduledProcedureStepSequence"):
        if "CommentsOnTheScheduledProcedureStep" in step:
            comment = data_sets.text(step, "CommentsOnTheScheduledProcedureStep")
            step.CommentsOnTheScheduledProcedureStep = f"[{note}] {comment}".strip()


def _start(entry: Dataset) -> tuple[str, str]:
    steps = data_sets.items(entry, "ScheduledProcedureStepSequence")
    first = steps[0] if steps else Dataset()
    return (
        data_sets.text(first, "ScheduledProcedureStepStartDate"),
        data_sets.text(first, "ScheduledProcedureStepStartTime"),
    )
