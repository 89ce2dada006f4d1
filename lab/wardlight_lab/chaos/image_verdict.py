"""Compares what a department's gateway has accepted with what the cloud holds.

lost     accepted, and not on the index with its octets, or its object is not there or spoilt
double   a second row or version of an instance, more than one audit row of an item, or a file that
         more than one of them says was stored
unknown  on the index and never accepted: its answer was lost with a kill; allowed, counted
false    said to be committed while the cloud had no such row on its index, or no such object
unreported  requests for commitment that were taken and whose report never came
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Promise:
    """An instance that the gateway answered 0x0000 to, and the file it makes of it."""

    uid: str
    sha256: bytes


class Upload(NamedTuple):
    """One audit row: what became of an item of a gateway's spool."""

    gateway: str | None
    spool: int | None
    item: int | None
    sha256: bytes
    outcome: str


@dataclass(frozen=True, slots=True)
class ImageVerdict:
    """The comparison; ``is_good`` is the claim."""

    accepted: int = 0
    stored: int = 0
    lost: int = 0
    double: int = 0
    strange: int = 0
    unknown: int = 0
    committed: int = 0
    false_commitments: int = 0
    unreported: int = 0
    first_lost: tuple[str, ...] = ()

    @property
    def is_good(self) -> bool:
        """0 lost, 0 double, 0 false, all reported, and nothing that nobody has sent."""
        wrong = (self.lost, self.double, self.strange, self.false_commitments, self.unreported)
        return not any(wrong)


def judge_images(
    promises: Iterable[Promise],
    offered: frozenset[str],
    *,
    rows: Sequence[tuple[str, bytes]],
    objects: frozenset[bytes],
    versions: int,
    uploads: Sequence[Upload],
    committed: frozenset[str],
    false_commitments: int,
    unreported: int = 0,
) -> ImageVerdict:
    """``rows`` of the index; ``objects``: hashes whose object is there, and is that."""
    indexed = dict(rows)
    wanted = {each.uid: each.sha256 for each in promises}
    lost = sorted(
        uid for uid, sha256 in wanted.items() if indexed.get(uid) != sha256 or sha256 not in objects
    )
    return ImageVerdict(
        accepted=len(wanted),
        stored=len(indexed),
        lost=len(lost),
        double=versions + len(rows) - len(indexed) + _twice(uploads),
        strange=len(set(indexed) - offered),
        unknown=len(set(indexed) - set(wanted)),
        committed=len(committed),
        # A commitment of something that was lost after all is as false as one given too early.
        false_commitments=false_commitments + len(committed & set(lost)),
        unreported=unreported,
        first_lost=tuple(lost[:5]),
    )


def _twice(uploads: Sequence[Upload]) -> int:
    items = Counter((each.gateway, each.spool, each.item) for each in uploads)
    stored = Counter(each.sha256 for each in uploads if each.outcome == "stored")
    return sum(times > 1 for found in (items, stored) for times in found.values())
