r"""ASTM E1394 records: H declares delimiters, P names a patient, O an order, R holds a result.

In      one record a line: ``R|1|^^^Glucose|8.6|mmol/L^P||A||201608242306``
Out     Result: a Reading and whose it is, for an R whose test is known; DeviceInfo of H-5
        Value ``<20``, LO and flag ``<`` are UNDER_RANGE, ``>``, HI OVER_RANGE, empty NOT_MEASURED.
        Control material (flag C, H-12 and O-12 Q) and training (H-12 T, D) are flagged TEST. R-9 P
        is EARLY, C a correction, X not measured, I says nothing yet
        Units: R-5, else ``U=`` of the header (Contour: 0 mg/dL, 1 mmol/L)
        Time: R-13, R-12, or R-9 where a meter puts it there
Errors  DecodeError: a result before its header, or after a P that cannot be read (nobody knows
        whose it is), text for a number, a unit that is missing, unknown or does not fit, a time
        that is none
Source  ASTM E1394-97 (CLSI LIS02-A2) 6 to 14; Contour records as in glucometerutils
        (tests/test_contour_driver.py) and Tidepool's driver
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec

from wardlight_edge.devices._astm.delimiters import Delimiters
from wardlight_edge.devices._conversation import Subject
from wardlight_edge.devices._gatt import CLOCK_UNSET
from wardlight_edge.devices._mdc import BY_LOINC, measured
from wardlight_edge.devices._number_text import absent_of, decimal_of
from wardlight_edge.devices._units import ConversionError, is_permitted
from wardlight_shared.codes import METRICS
from wardlight_shared.errors import DecodeError
from wardlight_shared.model import Absent, DeviceInfo, DeviceTime, Flag, Reading

MAX_RECORD: Final = 64_000
_TIME: Final = re.compile(r"(\d{4})(\d\d)(\d\d)(?:(\d\d)(\d\d)(\d\d)?)?\Z")
_NOT_CODE: Final = re.compile(r"[^A-Za-z0-9_-]")
_CONTOUR_UNIT: Final = {"0": "mg/dL", "1": "mmol/L"}
_UNIT: Final = {"mg/dl": "mg/dL", "mmol/l": "mmol/L", "bpm": "/min", "mmHg": "mm[Hg]"}
_RANGE: Final = {"<": Absent.UNDER_RANGE, ">": Absent.OVER_RANGE}
_ALARM: Final = frozenset({"LL", "HH", "AA"})
_NOT_A_PATIENT: Final = frozenset({"T", "D", "Q"})
_STATUS: Final = frozenset({"", "F", "P", "C", "X", "I", "R", "S", "M"})
_MAX_ID: Final = 200


class Result(msgspec.Struct, frozen=True):
    """One result. ``raw`` is the record without its number, for the event id."""

    reading: Reading
    raw: bytes
    subject: Subject | None


class AstmRecords:
    """What the records before say about the next.

    tests       maps test names to metrics
    delimiters  what holds until a header declares them; None = a record before it is an error
    """

    def __init__(self, tests: Mapping[str, str], delimiters: Delimiters | None = None) -> None:
        self._tests = tests
        self._delimiters = delimiters
        self._subject: Subject | None = None
        self._is_anybodys = False
        self._is_test = False
        self._is_control = False
        self._unit: str | None = None
        self.info = DeviceInfo()
        self.has_query = False
        self._ignored: dict[str, None] = {}

    def take_ignored(self) -> tuple[str, ...]:
        """Names of the tests since the last call that have no metric here."""
        ignored, self._ignored = tuple(self._ignored), {}
        return ignored

    def take(self, line: bytes) -> Result | None:
        """Take one record; a result when it holds one that is known here."""
        if len(line) > MAX_RECORD:
            self._is_anybodys = True  # it may have been a P
            raise DecodeError(f"ASTM record: {len(line)} bytes, at most {MAX_RECORD}")
        text = line.decode("latin-1").strip("\r\n")
        if text[:1] == "H":
            self._header(text)
            return None
        if self._delimiters is None:
            raise DecodeError("ASTM: a record before the header")
        fields = text.split(self._delimiters.field)
        match fields[0]:
            case "P":
                self._is_anybodys, self._is_control = True, False
                self._subject = _patient(fields, self._delimiters)
                self._is_anybodys = False
            case "O":
                self._is_control = _field(fields, 12) == "Q"
            case "Q":
                self.has_query = True
            case "R":
                return self._result(fields)
        return None

    def _header(self, text: str) -> None:
        declared, self._delimiters = text[1:5], None
        if len(declared) < 4 or len(set(declared)) < 4 or any(e.isalnum() for e in declared):
            raise DecodeError("ASTM header: delimiters that are none, or two the same")
        self._delimiters = delimiters = Delimiters(*declared)
        self._subject, self._is_anybodys = None, False
        self._is_control, self.has_query = False, False
        fields = text.split(delimiters.field)
        self._is_test = _field(fields, 12) in _NOT_A_PATIENT
        self.info = _sender(_field(fields, 5), delimiters)
        settings = _field(fields, 6).split(delimiters.component)
        said = next((each[2:] for each in settings if each.startswith("U=")), None)
        self._unit = None if said is None else _CONTOUR_UNIT.get(said)

    def _result(self, fields: list[str]) -> Result | None:
        delimiters = self._delimiters or Delimiters()
        units = delimiters.components(_field(fields, 5))
        test = delimiters.components(_field(fields, 3))
        metric = self._metric(test, units[1:])
        status = _field(fields, 9)
        time_field, is_status = _time_field(fields)
        status = status if is_status else ""
        if metric is None:
            self._ignored[_NOT_CODE.sub("", "-".join(filter(None, test)))[:80]] = None
            return None
        if status == "I":
            return None
        if self._is_anybodys:
            raise DecodeError("ASTM: a result after a patient record that cannot be read")
        if status not in _STATUS:
            raise DecodeError("ASTM R-9: a result status that is none")
        marks = re.split(r"[/\\~^]", _field(fields, 7))
        time, flags = _time(time_field)
        flags |= int(Flag.TEST) * (self._is_test or self._is_control or "C" in marks)
        flags |= int(Flag.EARLY) * (status == "P")
        flags |= int(Flag.DEVICE_ALARM) * (not _ALARM.isdisjoint(marks))
        withheld = next((_RANGE[mark] for mark in marks if mark in _RANGE), None)
        withheld = Absent.NOT_MEASURED if status == "X" else withheld
        reading = self._reading(metric, delimiters.text(_field(fields, 4)), units[0], withheld)
        context = (("status", "corrected"),) if status == "C" else ()
        reading = msgspec.structs.replace(reading, time=time, flags=flags, context=context)
        raw = delimiters.field.join(("R", "", *fields[2:]))
        return Result(reading, raw.encode("latin-1"), self._subject)

    def _metric(self, test: list[str], unit_parts: list[str]) -> str | None:
        """By the universal test id (LOINC), else by the maker's name, with the unit's suffix."""
        if test[0] in BY_LOINC:
            return BY_LOINC[test[0]]
        name = next((part for part in reversed(test[:4]) if part), "")
        suffixed = f"{name}^{unit_parts[0]}" if unit_parts else name
        return self._tests.get(suffixed) or self._tests.get(name)

    def _reading(self, metric: str, text: str, unit: str, withheld: Absent | None) -> Reading:
        shown = absent_of(text)
        if shown is not None:
            return Reading(metric, withheld or shown, METRICS[metric].unit)
        beyond = _RANGE.get(text[0])
        value = decimal_of(text if beyond is None else text[1:].strip())
        if value is None:
            raise DecodeError("ASTM R-4: not a number")
        absent = withheld or beyond
        sent = _UNIT.get(unit, unit) or self._unit
        if not sent:
            raise DecodeError("ASTM R-5: a number without a unit")
        try:
            number, kept = measured(metric, value, sent)
        except ConversionError as error:
            raise DecodeError("ASTM R-5: a unit that does not fit what is measured") from error
        if absent is not None:
            kept = sent if is_permitted(metric, sent) else METRICS[metric].unit
            return Reading(metric, absent, kept, value, sent)
        return Reading(metric, number[0], kept, number[1], number[2])


def without_identifiers(line: bytes) -> bytes:
    """What may be kept of a record that cannot be read: a result, no patient and no order."""
    record = line.strip(b"\r\n")
    return record if record[:1] == b"R" and not record[1:2].isalnum() else b""


def _field(fields: list[str], number: int) -> str:
    """Field ``number``, counted from 1 as the standard does."""
    return fields[number - 1].strip() if number <= len(fields) else ""


def _patient(fields: list[str], delimiters: Delimiters) -> Subject | None:
    """P-3 is the practice's identifier, P-4 the laboratory's, P-5 another."""
    for number in (3, 4, 5):
        found = delimiters.text(_field(fields, number))
        if len(found) > _MAX_ID:
            raise DecodeError(f"ASTM P-{number}: an identifier of over {_MAX_ID} characters")
        if found:
            return Subject("patient", "", found)
    return None


def _sender(field: str, delimiters: Delimiters) -> DeviceInfo:
    parts = [delimiters.text(part) for part in field.split(delimiters.component)]
    model, version, serial = (*parts, "", "", "")[:3]
    return DeviceInfo(
        model=model[:80] or None,
        software_revision=version[:80] or None,
        serial_number=serial[:80] or None,
    )


def _time_field(fields: list[str]) -> tuple[str, bool]:
    """The time of a result, and whether R-9 is a status (a meter may put the time there)."""
    ninth = _field(fields, 9)
    if len(ninth) >= 8 and ninth.isdigit():
        return ninth, False
    return _field(fields, 13) or _field(fields, 12), True


def _time(text: str) -> tuple[DeviceTime | None, int]:
    """Return (device time, flags); a date no calendar has is no time."""
    if not text:
        return None, 0
    found = _TIME.match(text)
    if found is None:
        raise DecodeError("ASTM R: a time that is none")
    if found[4] is None:
        return None, CLOCK_UNSET
    fields = [int(each or 0) for each in found.groups()]
    year, month, day, hour, minute, second = fields
    try:
        datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 - a check of ranges
    except ValueError:
        return None, CLOCK_UNSET
    return DeviceTime(year, month, day, hour, minute, second), 0
