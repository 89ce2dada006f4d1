"""Parameters of a search (QIDO-RS; PS3.18, 10.6 and 8.3.4) as an ImageQuery.

    PatientName=Smi*&StudyDate=20260101-&includefield=StudyDescription&limit=25&fuzzymatching=true
    00100010=...  RequestAttributesSequence.ScheduledProcedureStepID=...  includefield=all

Parameters that name no attribute, and attributes that this archive does not match, are left out and
told in a Warning header; values that are no values of their attribute are refused.
Errors  DicomWebError 400
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl
from uuid import UUID

from wardlight_cloud.dicomweb.attributes import attribute, matching_key
from wardlight_cloud.dicomweb.errors import bad_request
from wardlight_cloud.dicomweb.matching import match_of
from wardlight_cloud.store.imaging import ImageQuery, Level, Match

MOST: Final = {Level.STUDY: 1000, Level.SERIES: 5000, Level.INSTANCE: 5000}
"""Results of one answer at most; a Warning says when there are more."""
_LARGEST_OFFSET: Final = 1 << 31
_LONGEST: Final = 256 * 1024
_MOST_PARAMETERS: Final = 256
_FLAGS: Final = {"true": True, "false": False}
_OWN: Final = frozenset({"limit", "offset", "includefield", "fuzzymatching", "accept"})


@dataclass(frozen=True, slots=True)
class Search:
    """What was asked for; ``query.limit`` is one more than ``limit``, to know whether more follow.

    ``fields``: attributes to return beside those that always are. ``unsupported``: names of
    parameters that were left out.
    """

    query: ImageQuery
    limit: int
    limit_given: bool
    fields: frozenset[str]
    all_fields: bool
    unsupported: tuple[str, ...]

    def warnings(self, service: str, *, more: bool) -> str | None:
        """The Warning header (PS3.18, 8.3.4 and 10.6.3)."""
        texts = []
        if self.unsupported:
            names = ", ".join(self.unsupported[:16])
            texts.append(f"These parameters are not supported and were not used: {names}")
        if more and not self.limit_given:
            texts.append(
                "The number of results exceeded the maximum supported by the server. Additional "
                "results can be requested with limit and offset"
            )
        return ", ".join(f'299 {service} "{text}"' for text in texts) or None


def search_of(
    level: Level, query_string: bytes, path: Iterable[tuple[str, str]] = (), *,
    patients: tuple[UUID, ...] | None = None,
) -> Search:  # fmt: skip
    """The search at a level; ``path``: UIDs of the address, by keyword."""
    if len(query_string) > _LONGEST:
        raise bad_request("The query is longer than this server reads.")
    try:
        given = parse_qsl(
            query_string.decode("ascii"), keep_blank_values=True, errors="strict",
            max_num_fields=_MOST_PARAMETERS,
        )  # fmt: skip
    except ValueError as error:
        raise bad_request(
            f"The query is not UTF-8 text in percent encoding, or has over {_MOST_PARAMETERS} "
            "parameters."
        ) from error
    controls = _controls(given)
    keys = _Keys(level, fuzzy=controls.fuzzy)
    for name, value in given:
        if name not in _OWN:
            keys.add(name, value)
    matches = [*keys.matches, *(Match(key, "equal", (value,)) for key, value in path)]
    fields, all_fields, unknown = _included(
        value for name, value in given if name == "includefield"
    )
    limit = MOST[level] if controls.limit is None else min(controls.limit, MOST[level])
    return Search(
        ImageQuery(level, tuple(matches), patients, limit + 1, controls.offset),
        limit,
        controls.limit is not None and controls.limit <= MOST[level],
        fields | frozenset(keys.tags),
        all_fields,
        (*keys.unsupported, *unknown),
    )


@dataclass(frozen=True, slots=True)
class _Controls:
    limit: int | None
    offset: int
    fuzzy: bool


def _controls(given: Sequence[tuple[str, str]]) -> _Controls:
    own = [(name, value) for name, value in given if name in _OWN - {"includefield"}]
    values = dict(own)
    if len(values) < len(own):
        raise bad_request("limit, offset, fuzzymatching and accept can be given once.")
    fuzzy = values.get("fuzzymatching", "false").lower()
    if fuzzy not in _FLAGS:
        raise bad_request("fuzzymatching: expected true or false")
    limit = _whole("limit", values["limit"]) if "limit" in values else None
    return _Controls(limit, _whole("offset", values.get("offset", "0")), _FLAGS[fuzzy])


def _whole(name: str, text: str) -> int:
    is_whole = text.isascii() and text.isdigit() and len(text) <= len(str(_LARGEST_OFFSET))
    if not is_whole or int(text) > _LARGEST_OFFSET:
        raise bad_request(f"{name}: expected a whole number from 0 to {_LARGEST_OFFSET}")
    return int(text)


class _Keys:
    """Collects matching keys; an attribute can be matched once."""

    def __init__(self, level: Level, *, fuzzy: bool) -> None:
        self._level = level
        self._fuzzy = fuzzy
        self._seen: set[tuple[str, ...]] = set()
        self.matches: list[Match] = []
        self.tags: list[str] = []
        self.unsupported: list[str] = []

    def add(self, name: str, value: str) -> None:
        """One parameter that is none of the search's own."""
        found = attribute(name)
        keyword = None if found is None else matching_key(found, self._level)
        if found is None or keyword is None:
            self.unsupported.append(_shown(name))
            return
        if found.tags in self._seen:
            raise bad_request(f"{found.keyword} can be given once; UIDs are joined by commas.")
        self._seen.add(found.tags)
        self.tags.append(found.tag)
        match = match_of(keyword, found.vr, value, fuzzy=self._fuzzy)
        if match is not None:
            self.matches.append(match)


def _included(values: Iterable[str]) -> tuple[frozenset[str], bool, list[str]]:
    fields: set[str] = set()
    unknown: list[str] = []
    all_fields = False
    for name in (each.strip() for value in values for each in value.split(",")):
        if name == "all":
            all_fields = True
        elif (found := attribute(name)) is not None:
            fields.add(found.tag)
        else:
            unknown.append(f"includefield={_shown(name)}")
    return frozenset(fields), all_fields, unknown


def _shown(name: str) -> str:
    """A foreign name as it may stand in a header."""
    return "".join(each if each.isascii() and (each.isalnum() or each in "._-") else "?"
                   for each in name[:64])  # fmt: skip
