r"""Texts of HL7 v2: fields with their escapes, times with their offset.

Delimiters are always |^~\&. What a text holds of them is escaped; what ends a segment becomes a
space, other control characters are left out.

Source  HL7 v2.6, 2.7 (escape sequences), 2.A.22 (DTM)
"""

from datetime import UTC, datetime, timedelta, timezone
from typing import Final

_ESCAPES: Final = str.maketrans(
    {
        "\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\",
        "\r": " ", "\n": " ", "\t": " ",
        **{chr(code): "" for code in (*range(0x20), 0x7F) if code not in (0x09, 0x0A, 0x0D)},
    }
)  # fmt: skip
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def escaped(text: str) -> str:
    """A text as it may stand in a field."""
    return text.translate(_ESCAPES)


def components(*parts: str) -> str:
    """Texts as the components of a field; empty ones at the end are left out."""
    return "^".join(map(escaped, parts)).rstrip("^")


def segment(name: str, fields: dict[int, str]) -> str:
    """A segment of fields by their number, which are ready texts."""
    values = [fields.get(place, "") for place in range(1, max(fields) + 1)]
    return "|".join((name, *values)).rstrip("|")


def moment(instant: datetime) -> str:
    """A time with its offset, to the second or, where it has them, to the millisecond."""
    fraction = f".{instant.microsecond // 1000:03}" if instant.microsecond else ""
    return f"{instant:%Y%m%d%H%M%S}{fraction}{instant:%z}"


def local(time_us: int, offset_min: int) -> datetime:
    """Microseconds since 1970 at a place with this offset from UTC."""
    place = timezone(timedelta(minutes=offset_min))
    return (_EPOCH + timedelta(microseconds=time_us)).astimezone(place)
