"""What is the same in every search: pages, their cursors, totals.

Errors  FhirError 400
Source  R4 4.0.1 3.1.1.5 (_count, _summary, _total)
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from wardlight_cloud.fhir.outcome import invalid

Parameters = Sequence[tuple[str, str]]
COUNT_DEFAULT: Final = 50
COUNT_MAX: Final = 500
CURSOR: Final = "_cursor"
SUMMARY: Final = "_summary"
TOTAL: Final = "_total"


class BundleKind(Enum):
    """What a Bundle holds."""

    PAGE = "page"
    TOTAL = "total"
    BOTH = "both"


def count(parameter: str, text: str) -> int:
    """Page size, cut to COUNT_MAX."""
    if not (text.isascii() and text.isdigit()):
        raise invalid(parameter, "expected a whole number, 0 or more")
    return min(int(text[:9]), COUNT_MAX)


def cursor_text(cursor: bytes) -> str:
    """A store cursor as URL text."""
    return base64.urlsafe_b64encode(cursor).decode().rstrip("=")


def cursor_bytes(text: str) -> bytes:
    """Undo ``cursor_text``."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid(
            CURSOR, "not a cursor of this server; follow the next link as it is"
        ) from error


def cursor_of(url: str) -> str:
    """The cursor of a next link that this server has made."""
    return dict(parse_qsl(urlsplit(url).query))[CURSOR]


def next_cursor(page: Mapping[str, Any]) -> str | None:
    """The cursor behind a page of ours; None = it is the last."""
    urls = [each["url"] for each in page["link"] if each["relation"] == "next"]
    return cursor_of(urls[0]) if urls else None


def bundle_asked_for(honoured: Parameters) -> BundleKind:
    """What is asked for: a count of 0 means the same as ``_summary=count`` (R4 3.1.1.5.5)."""
    values = dict(honoured)
    summary, total = values.get(SUMMARY, "false"), values.get(TOTAL, "none")
    if summary not in ("count", "false"):
        raise invalid(SUMMARY, "use count or false")
    if total not in ("none", "estimate", "accurate"):
        raise invalid(TOTAL, "use none, estimate or accurate")
    if summary == "count" or ("_count" in values and count("_count", values["_count"]) == 0):
        return BundleKind.TOTAL
    return BundleKind.PAGE if total == "none" else BundleKind.BOTH
