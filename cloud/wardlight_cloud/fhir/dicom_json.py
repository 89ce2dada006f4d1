"""Values of DICOM JSON as FHIR says them.

Source  PS3.18 F (DICOM JSON); R4 4.0.1 datatypes; R4 ImagingStudy (dates of DICOM have no offset)
"""

import re
from datetime import date
from typing import Any, Final

import orjson

UID_SYSTEM: Final = "urn:dicom:uid"
URI_SYSTEM: Final = "urn:ietf:rfc:3986"
DCM: Final = "http://dicom.nema.org/resources/ontology/DCM"
ACCESSION_TYPE: Final = {
    "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "ACSN"}]
}
# With points and colons as ACR-NEMA had them, which PS3.5, 6.2 lets readers expect.
_DATE: Final = re.compile(r"(\d{4})(?:(\.?)(\d\d)(?:\2(\d\d))?)?", re.ASCII)
_TIME: Final = re.compile(
    r"([01]\d|2[0-3])(:?)([0-5]\d)(?:\2([0-5]\d|60)(?:\.(\d{1,6}))?)?", re.ASCII
)
_DATE_TIME: Final = re.compile(r"(\d{8})(\d{4}(?:\d\d(?:\.\d{1,6})?)?|\d\d)?([+-]\d{4})?", re.ASCII)
_OFFSET: Final = re.compile(r"([+-](?:0\d|1[0-3]))([0-5]\d)|([+-]14)(00)", re.ASCII)
_COUNT: Final = re.compile(r"\+?\d{1,10}", re.ASCII)


class Attributes:
    """The attributes of one level, by tag (eight hex digits)."""

    def __init__(self, octets: bytes | None) -> None:
        self._values: dict[str, Any] = orjson.loads(octets) if octets else {}

    def text(self, tag: str) -> str | None:
        """The first value as text without padding; None when there is none."""
        values = self._values.get(tag, {}).get("Value") or [None]
        value = values[0]
        if isinstance(value, dict):
            value = value.get("Alphabetic")
        found = "" if value is None else str(value).strip()
        return found or None

    def count(self, tag: str) -> int | None:
        """The first value as a number that FHIR counts with: 0 or more."""
        text = self.text(tag) or ""
        if not _COUNT.fullmatch(text):
            return None
        return number if (number := int(text)) < 1 << 31 else None

    def coded(self, tag: str) -> dict[str, str] | None:
        """The first item of a code sequence: value, scheme and meaning."""
        items = self._values.get(tag, {}).get("Value") or [None]
        if not isinstance(items[0], dict):
            return None
        code = Attributes(orjson.dumps(items[0]))
        found = {
            "value": code.text("00080100"),
            "scheme": code.text("00080102"),
            "meaning": code.text("00080104"),
        }
        return {name: text for name, text in found.items() if text is not None} or None

    def moment(self, date_tag: str, time_tag: str, *, offset: str | None = None) -> str | None:
        """Date and time as a dateTime, as far as they are known.

        Without an offset from UTC, or minutes, the date alone; a date without day or month as that;
        None where there is no such day. ``offset``: Timezone Offset From UTC, where another level
        has it.
        """
        zone = offset or self.text("00080201") or ""
        return _moment(self.text(date_tag) or "", self.text(time_tag) or "", zone)

    def taken(self, tag: str, *, offset: str | None = None) -> str | None:
        """A DT as a dateTime, as of ``moment``; None where it does not name a day."""
        parts = _DATE_TIME.fullmatch(self.text(tag) or "")
        if parts is None:
            return None
        zone = parts[3] or offset or self.text("00080201") or ""
        return _moment(parts[1], parts[2] or "", zone)


def _moment(da: str, tm: str, offset: str) -> str | None:
    day_of = _DATE.fullmatch(da)
    if day_of is None or not _is_a_day(*(int(day_of[part] or 1) for part in (1, 3, 4))):
        return None
    day = "-".join(part for part in day_of.group(1, 3, 4) if part)
    time, zone = _TIME.fullmatch(tm), _OFFSET.fullmatch(offset)
    if day_of[4] is None or time is None or zone is None:
        return day
    fraction = f".{time[5]}" if time[5] else ""
    hours, minutes = zone[1] or zone[3], zone[2] or zone[4]
    return f"{day}T{time[1]}:{time[3]}:{time[4] or '00'}{fraction}{hours}:{minutes}"


def _is_a_day(year: int, month: int, day: int) -> bool:
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


def oid(uid: str) -> str:
    """A UID as a URI."""
    return f"urn:oid:{uid}"


def uid_identifier(uid: str) -> dict[str, str]:
    """A DICOM UID as an Identifier."""
    return {"system": UID_SYSTEM, "value": oid(uid)}


def without_gaps(resource: dict[str, Any]) -> dict[str, Any]:
    """FHIR has no empty values: what is not known is left out."""
    return {name: value for name, value in resource.items() if value not in (None, "", [], {})}
