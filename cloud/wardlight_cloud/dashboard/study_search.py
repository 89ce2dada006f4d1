"""The search form of the list of studies as matching keys. Pure functions."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from wardlight_cloud.store.imaging import Match

FIELDS: Final = ("name", "number", "accession", "modality", "since", "until")
_LONGEST: Final = 100
_LAST_PAGE: Final = 10_000
_MODALITY: Final = re.compile(r"[A-Z0-9_ ]{1,16}")


@dataclass(frozen=True, slots=True)
class StudySearch:
    """``fields`` as they were entered, the matches they make, and what is wrong with them."""

    fields: Mapping[str, str]
    matches: tuple[Match, ...]
    error: str


def page_number(form: Mapping[str, str]) -> int:
    """The page that a button of the list asks for."""
    text = form.get("page", "0")
    return min(int(text), _LAST_PAGE) if text.isascii() and text.isdigit() and len(text) < 9 else 0


def study_search(form: Mapping[str, str]) -> StudySearch:
    """What a posted form asks for."""
    fields = {name: form.get(name, "").strip()[:_LONGEST] for name in FIELDS}
    fields["modality"] = fields["modality"].upper()
    error = _error(fields)
    return StudySearch(fields, () if error else _matches(fields), error)


def _error(fields: Mapping[str, str]) -> str:
    if fields["modality"] and _MODALITY.fullmatch(fields["modality"]) is None:
        return "A modality is a code such as CT, US or ECG."
    for name in ("since", "until"):
        if fields[name] and _day(fields[name]) is None:
            return "A date is written as 2026-01-31."
    return ""


def _matches(fields: Mapping[str, str]) -> tuple[Match, ...]:
    found = []
    if fields["name"]:
        found.append(Match("PatientName", "fuzzy", (fields["name"],)))
    for name, keyword in (
        ("number", "PatientID"),
        ("accession", "AccessionNumber"),
        ("modality", "ModalitiesInStudy"),
    ):
        if fields[name]:
            is_pattern = bool(set(fields[name]) & set("*?"))
            found.append(Match(keyword, "wildcard" if is_pattern else "equal", (fields[name],)))
    if fields["since"] or fields["until"]:
        ends = tuple(_day(fields[name]) or "" for name in ("since", "until"))
        found.append(Match("StudyDate", "range", ends))
    return tuple(found)


def _day(text: str) -> str | None:
    try:
        return date.fromisoformat(text).strftime("%Y%m%d")
    except ValueError:
        return None
