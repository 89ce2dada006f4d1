"""Which report takes the place of which: Predecessor Documents Sequence of structured reports.

A report that is complete takes the place of those it names that are in its study; one that is not
complete, or whose file is not given out, leaves them current. Two that name each other stay both.

Source  PS3.3, C.17.2 (SR Document General Module); R4 4.0.1 DocumentReference.relatesTo, status
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import orjson

from wardlight_cloud.store.imaging import ImageQuery, ImageRow, InstanceRef, Level, Match

REPORT_CLASSES: Final = tuple(
    f"1.2.840.10008.5.1.4.1.1.88.{number}"
    for number in (11, 22, 33, 34, 35, 40, 50, 65, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76)
)
_MOST: Final = 5000
_AT_ONCE: Final = 50
_PREDECESSORS, _SERIES, _INSTANCES, _UID = "0040A360", "00081115", "00081199", "00081155"
_COMPLETION, _PRELIMINARY = "0040A491", "0040A496"


class ReportReads(Protocol):
    """What this asks of the index."""

    async def images(self, query: ImageQuery) -> tuple[ImageRow, ...]:
        """See ImageStore."""

    async def headers_of(self, sop_uids: Sequence[str]) -> tuple[tuple[InstanceRef, bytes], ...]:
        """See ImageStore."""


@dataclass(frozen=True, slots=True)
class Chains:
    """Reports of some studies, by SOP Instance UID.

    ``before``: those that a report names as its predecessors; ``complete``: reports that are no
    drafts; ``superseded``: those in whose place another one stands; ``known``: all of them.
    """

    before: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    complete: frozenset[str] = frozenset()
    superseded: frozenset[str] = frozenset()
    known: frozenset[str] = frozenset()


NO_CHAINS: Final = Chains()


async def chains(store: ReportReads, rows: Sequence[ImageRow]) -> Chains:
    """Of all reports in the studies of these rows."""
    reports = [row for row in rows if row.ref is not None and row.ref.sop_class in REPORT_CLASSES]
    if not reports:
        return NO_CHAINS
    studies = tuple(dict.fromkeys(row.study_uid for row in reports))
    matches = (
        Match("StudyInstanceUID", "equal", studies), Match("SOPClassUID", "equal", REPORT_CLASSES),
    )  # fmt: skip
    found = await store.images(ImageQuery(Level.INSTANCE, matches, limit=_MOST))
    refs = {row.ref.sop_uid: row.ref for row in found if row.ref is not None}
    before, complete = {}, set()
    uids = list(refs)
    for start in range(0, len(uids), _AT_ONCE):
        for ref, text in await store.headers_of(uids[start : start + _AT_ONCE]):
            header = orjson.loads(text)
            before[ref.sop_uid] = _predecessors(header, ref.sop_uid)
            if _is_complete(header):
                complete.add(ref.sop_uid)
    superseded = {
        old
        for new, olds in before.items()
        if new in complete and not refs[new].is_doubted
        for old in olds
        if old in refs and refs[old].study_uid == refs[new].study_uid
        if new not in before.get(old, ())
    }
    return Chains(before, frozenset(complete), frozenset(superseded), frozenset(refs))


def _predecessors(header: Mapping[str, Any], own: str) -> tuple[str, ...]:
    found = [
        _text(instance, _UID)
        for document in _items(header, _PREDECESSORS)
        for series in _items(document, _SERIES)
        for instance in _items(series, _INSTANCES)
    ]
    return tuple(uid for uid in dict.fromkeys(found) if uid not in ("", own))


def _is_complete(header: Mapping[str, Any]) -> bool:
    return _text(header, _COMPLETION) != "PARTIAL" and _text(header, _PRELIMINARY) != "PRELIMINARY"


def _items(attributes: Mapping[str, Any], tag: str) -> list[Mapping[str, Any]]:
    return [each for each in attributes.get(tag, {}).get("Value", ()) if isinstance(each, dict)]


def _text(attributes: Mapping[str, Any], tag: str) -> str:
    values = attributes.get(tag, {}).get("Value") or [None]
    return "" if values[0] is None else str(values[0]).strip()
