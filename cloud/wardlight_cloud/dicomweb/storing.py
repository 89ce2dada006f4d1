"""What STOW needs of whoever takes files in; the composition root gives it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol


class Verdict(StrEnum):
    """What became of a file that somebody stored."""

    STORED = "stored"  # now, or it was there already: durable and on the index
    CONFLICT = "conflict"  # another file has its SOP Instance UID; kept beside it for an operator
    UNREADABLE = "unreadable"  # no DICOM file, or one that cannot be indexed
    NO_STUDY = "no-study"  # of no study, and so of no patient: such objects are not kept here
    OTHER_STUDY = "other-study"  # not of the study that the address names
    NO_ROOM = "no-room"  # the object store or its disk is full
    FAILED = "failed"  # the store did not take it: try again


@dataclass(frozen=True, slots=True)
class Arrived:
    """A file that has arrived whole; who takes it in may move it away."""

    file: Path
    sha256: bytes
    size: int


@dataclass(frozen=True, slots=True)
class Taken:
    """The verdict on a file; its UIDs as far as it could be read."""

    verdict: Verdict
    study_uid: str = ""
    series_uid: str = ""
    sop_class: str = ""
    sop_uid: str = ""


class Intake(Protocol):
    """Takes files in: durable in the object store, then on the index."""

    async def take(
        self, files: Sequence[Arrived], *, study_uid: str | None, peer: str
    ) -> Sequence[Taken]:
        """Take files in, in order; ``study_uid``: refuse those of another study."""
