"""Attributes of DICOM by keyword and tag, and which of them an answer to a search has.

Source  PS3.18, tables 10.6.1-5 (matching keys), and 10.6.3-3 to 10.6.3-5 (returned attributes)
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from wardlight_cloud.dicomweb.dictionary import Entry, by_keyword, by_tag
from wardlight_cloud.store.imaging import MATCHABLE, Level

_TAG: Final = re.compile(r"[0-9A-Fa-f]{8}")

STUDY_ALWAYS: Final = frozenset({
    "00080005", "00080020", "00080030", "00080050", "00080056", "00080061", "00080090",
    "00080201", "00081190", "00100010", "00100020", "00100021", "00100030", "00100040",
    "0020000D", "00200010", "00201206", "00201208",
})  # fmt: skip
SERIES_ALWAYS: Final = frozenset({
    "00080005", "00080056", "00080060", "00080201", "0008103E", "00081190", "0020000D",
    "0020000E", "00200011", "00201209", "00400244", "00400245", "00400275",
})  # fmt: skip
INSTANCE_ALWAYS: Final = frozenset({
    "00080005", "00080016", "00080018", "00080056", "00080201", "00081190", "0020000D",
    "0020000E", "00200013", "00280008", "00280010", "00280011", "00280100",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute, or one inside a sequence: tags and keywords from the outside in."""

    tags: tuple[str, ...]
    keyword: str
    vr: str

    @property
    def tag(self) -> str:
        """The outermost tag: what stands in an answer."""
        return self.tags[0]


def matching_key(found: Attribute, level: Level) -> str | None:
    """The keyword by which the index matches an attribute in searches at a level; None = not."""
    levels = tuple(Level)[: tuple(Level).index(level) + 1]
    outer, _, keyword = found.keyword.rpartition(".")
    is_nested = keyword in _NESTED
    if outer != (_REQUEST if is_nested else ""):
        return None
    return keyword if any(keyword in MATCHABLE[each] for each in levels) else None


_REQUEST: Final = "RequestAttributesSequence"
_NESTED: Final = frozenset({"ScheduledProcedureStepID", "RequestedProcedureID"})


@lru_cache(maxsize=2048)
def attribute(text: str) -> Attribute | None:
    """The attribute that a path of keywords or tags names, joined by dots; None = no such one.

    Private tags are known by their number, without a keyword.
    """
    steps = [_step(each) for each in text.split(".")]
    found = [step for step in steps if step is not None]
    if len(found) < len(steps) or len(steps) > _DEEPEST:
        return None
    if any(step.vr != "SQ" for step in found[:-1]):
        return None
    tags, keywords = (tuple(column) for column in list(zip(*found, strict=True))[:2])
    return Attribute(tags, ".".join(keywords), found[-1].vr)


_DEEPEST: Final = 8


def _step(text: str) -> Entry | None:
    if _TAG.fullmatch(text) is None:
        return by_keyword(text) if text.isascii() and text.isalnum() else None
    tag = text.upper()
    is_private = int(tag[:4], 16) % 2 == 1
    return by_tag(tag) or Entry(tag, tag, "SQ" if is_private else "UN")
