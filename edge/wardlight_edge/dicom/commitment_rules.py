"""Whether an instance may be reported as committed.

In      the SOP Class and Instance a modality names, what the spool has of that instance, and, where
        this gateway vouches for it, whether its files are durable here
Out     Verdict: committed, not yet, or the Failure Reason
Source  DICOM PS3.4, J.3.3 (event types), PS3.3, C.14.1.1 (Failure Reason)

A request names no hash. So where files of different content have one SOP Instance UID, all of them
must have what a success needs: whichever of them is meant, it is safe.

A receipt tells what was so when it was given: an object may have been lost or removed since. So
what was delivered before the request is ASKED about, and counts once the collector has said it
again.
"""

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Literal

from wardlight_edge.spool.base import Item, ItemState
from wardlight_edge.spool.commitments import Reference
from wardlight_shared.blobs import BlobKind

Custody = Literal["cloud", "edge"]
"""Where an instance must be durable: at the collector, with its receipt, or in this spool."""


class Verdict(IntEnum):
    """What can be said of an instance; above 0 it is the Failure Reason (0008,1197)."""

    NOT_YET = -1
    COMMITTED = 0
    PROCESSING_FAILURE = 0x0110
    NO_SUCH_INSTANCE = 0x0112
    CLASS_INSTANCE_CONFLICT = 0x0119


IsKept = Callable[[Item], bool | None]
"""Whether an item's file is durable here; None = it is still being flushed."""


def verdict(
    reference: Reference, found: Sequence[Item], custody: Custody, is_kept: IsKept
) -> Verdict:
    """What can be said of an instance of which the spool has found these items."""
    files = [item for item in found if item.kind is BlobKind.INSTANCE]
    if all(item.state is ItemState.DROPPED for item in files):
        return Verdict.NO_SUCH_INSTANCE
    if any(item.about.get("sop_class") != reference.sop_class for item in files):
        return Verdict.CLASS_INSTANCE_CONFLICT
    if any(_has_failed(item) for item in files):
        return Verdict.PROCESSING_FAILURE
    waiting = [item for item in files if item.state is ItemState.WAITING]
    if any(item.state is ItemState.ASKED for item in files) or (waiting and custody == "cloud"):
        return Verdict.NOT_YET
    return _in_custody([is_kept(item) for item in waiting])


def _in_custody(kept: Sequence[bool | None]) -> Verdict:
    """Of files that wait here: a row alone is no file, and one that is being flushed is not yet."""
    if False in kept:
        return Verdict.PROCESSING_FAILURE
    return Verdict.NOT_YET if None in kept else Verdict.COMMITTED


def _has_failed(item: Item) -> bool:
    """A receipt with a reason is for a file that was set aside: kept, but nobody finds it."""
    if item.state is ItemState.DELIVERED:
        return item.reason is not None
    return item.state not in (ItemState.WAITING, ItemState.ASKED)


def final(verdict: Verdict) -> int:
    """What is reported of an instance when the request is decided: 0, or the Failure Reason."""
    return Verdict.PROCESSING_FAILURE if verdict is Verdict.NOT_YET else verdict
