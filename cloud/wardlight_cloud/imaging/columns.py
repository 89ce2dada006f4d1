"""Matching keys and the attributes of each level, from the DICOM JSON of a header.

Dates are kept as ``YYYYMMDD``, times as ``HHMMSS.ffffff``, names as they are: the index folds them.
Several values are joined by backslash; an item of a sequence counts as its first value.
"""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import orjson

from wardlight_cloud.store.image_arrivals import InstanceHeader
from wardlight_cloud.store.imaging import Level

Json = Mapping[str, Any]

_OLD_DATE: Final = re.compile(r"(\d{4})\.(\d{2})\.(\d{2})", re.ASCII)
_TIME: Final = re.compile(r"(\d{2}):?(\d{2})?:?(\d{2})?(?:\.(\d{1,6}))?", re.ASCII)

_KEYS: Final[Mapping[str, str]] = {
    "StudyDate": "00080020",
    "StudyTime": "00080030",
    "AccessionNumber": "00080050",
    "StudyID": "00200010",
    "StudyDescription": "00081030",
    "ReferringPhysicianName": "00080090",
    "PatientName": "00100010",
    "PatientID": "00100020",
    "IssuerOfPatientID": "00100021",
    "PatientBirthDate": "00100030",
    "PatientSex": "00100040",
    "Modality": "00080060",
    "SeriesNumber": "00200011",
    "SeriesDescription": "0008103E",
    "SeriesDate": "00080021",
    "SeriesTime": "00080031",
    "PerformedProcedureStepStartDate": "00400244",
    "PerformedProcedureStepStartTime": "00400245",
    "BodyPartExamined": "00180015",
    "Laterality": "00200060",
    "ProtocolName": "00181030",
    "StationName": "00081010",
    "InstitutionName": "00080080",
    "Manufacturer": "00080070",
    "ManufacturerModelName": "00081090",
    "InstanceNumber": "00200013",
    "ContentDate": "00080023",
    "ContentTime": "00080033",
    "CompletionFlag": "0040A491",
    "VerificationFlag": "0040A493",
}
_PIXELS: Final = ("7FE00008", "7FE00009", "7FE00010")
_REQUEST: Final = "00400275"
_REQUEST_KEYS: Final[Mapping[str, str]] = {
    "ScheduledProcedureStepID": "00400009",
    "RequestedProcedureID": "00401001",
}

OF_PATIENT: Final = frozenset(
    """
    00100010 00100020 00100021 00100022 00100024 00100026 00100028 00100030 00100032 00100040
    00101000 00101001 00101002 00102160
    """.split()  # noqa: SIM905 - a table of tags
)
"""Tags of attributes that say who the patient is; others may differ from study to study."""
_STUDY: Final = frozenset(
    """
    00080005 00080020 00080030 00080050 00080051 00080090 00080096 00080201 00081030 00081032
    00081048 00081049 00081060 00081080 00081084 00081110 00100010 00100020 00100021 00100022
    00100024 00100026 00100028 00100030 00100032 00100040 00101000 00101001 00101002 00101010
    00101020 00101021 00101030 00102160 00102180 001021B0 00102203 00104000 0020000D 00200010
    00321032 00321060 00380010 00380014 0040A121
    """.split()  # noqa: SIM905 - a table of tags
)
_SERIES: Final = frozenset(
    """
    00080005 00080021 00080031 00080060 00080064 00080068 00080070 00080080 00080081 00081010
    0008103E 0008103F 00081040 00081050 00081052 00081070 00081090 00081111 00081115 00180015
    00181000 00181020 00181030 00185100 0020000E 00200011 00200052 00200060 00400244 00400245
    00400250 00400251 00400253 00400254 00400260 00400275 00400280
    """.split()  # noqa: SIM905 - a table of tags
)
_INSTANCE: Final = frozenset(
    """
    00080005 00080008 00080012 00080013 00080016 00080018 00080022 00080023 0008002A 00080032
    00080033 00081140 00082111 00082218 00180050 00180086 00181063 00181164 0020000E 00200012
    00200013 00200032 00200037 00201041 00201208 00204000 00280002 00280004 00280008 00280010
    00280011 00280030 00280034 00280100 00280101 00280103 00281050 00281051 00281055 00282110
    00282112 00282114 00400512 00400555 0040A030 0040A032 0040A043 0040A491 0040A493 0040A525
    00420010 00420012 0040A504 00700080 00700081 00700082 00700083 00700084
    """.split()  # noqa: SIM905 - a table of tags
) - {"0020000E"}


def kept(level: Level) -> frozenset[str]:
    """Tags of the attributes that a search at a level has, with those of the levels above."""
    match level:
        case Level.STUDY:
            return _STUDY
        case Level.SERIES:
            return _STUDY | _SERIES
    return _STUDY | _SERIES | _INSTANCE


def instance_header(
    header: Json,
    text: bytes,
    syntax: str,
    *,
    frames: tuple[tuple[tuple[int, int], ...], ...] = (),
    bulk: Mapping[str, tuple[int, int]] = MappingProxyType({}),
) -> InstanceHeader:
    """What the index holds, from a header and its text."""
    columns = columns_of(header)
    has_pixels = any(tag in header for tag in _PIXELS)
    return InstanceHeader(
        study_uid=text_of(header, "0020000D"),
        series_uid=text_of(header, "0020000E"),
        sop_uid=text_of(header, "00080018"),
        sop_class=text_of(header, "00080016"),
        transfer_syntax=syntax,
        patient_id=columns.get("PatientID", ""),
        issuer=columns.get("IssuerOfPatientID", ""),
        columns=columns,
        study=_dumped(study_of(header)),
        series=_dumped(series_of(header)),
        instance=_dumped(instance_of(header)),
        header=text,
        rows=count_of(header, "00280010"),
        columns_px=count_of(header, "00280011"),
        frame_count=(count_of(header, "00280008") or 1) if has_pixels else 0,
        frames=frames,
        bulk=bulk,
    )


def study_of(header: Json) -> dict[str, Any]:
    """Attributes of the patient and the study."""
    return {tag: header[tag] for tag in header if tag in _STUDY}


def series_of(header: Json) -> dict[str, Any]:
    """Attributes of the series and of the equipment."""
    return {tag: header[tag] for tag in header if tag in _SERIES}


def instance_of(header: Json) -> dict[str, Any]:
    """Attributes of the instance that searches give."""
    return {tag: header[tag] for tag in header if tag in _INSTANCE}


def columns_of(header: Json) -> dict[str, str]:
    """Matching keys by keyword; absent and empty ones are left out."""
    found = {keyword: _joined(values_of(header, tag)) for keyword, tag in _KEYS.items()}
    items = values_of(header, _REQUEST)
    for keyword, tag in _REQUEST_KEYS.items():
        found[keyword] = _joined([each for item in items for each in values_of(item, tag)])
    for keyword in found:
        if keyword.endswith("Date"):
            found[keyword] = date_text(found[keyword])
        elif keyword.endswith("Time"):
            found[keyword] = time_text(found[keyword])
    return {keyword: text for keyword, text in found.items() if text}


def values_of(header: Json, tag: str) -> list[Any]:
    """The values of an element; [] for none."""
    values = header.get(tag, {}).get("Value", [])
    return list(values)


def text_of(header: Json, tag: str) -> str:
    """The first value of an element as text; '' for none."""
    values = values_of(header, tag)
    return "" if not values or values[0] is None else str(values[0])


def count_of(header: Json, tag: str) -> int:
    """The first value of an element as a count; 0 for none."""
    values = values_of(header, tag)
    return values[0] if values and isinstance(values[0], int) and values[0] > 0 else 0


def date_text(text: str) -> str:
    """A date as eight digits; old dates have points (PS3.5, 6.2)."""
    match = _OLD_DATE.fullmatch(text)
    return "".join(match.groups()) if match else text


def time_text(text: str) -> str:
    """A time as ``HHMMSS.ffffff``; what is no time stays as it is."""
    match = _TIME.fullmatch(text)
    if match is None:
        return text
    hours, minutes, seconds, fraction = match.groups(default="")
    return f"{hours}{minutes or '00'}{seconds or '00'}.{fraction:0<6}"


def _dumped(attributes: Json) -> bytes:
    return orjson.dumps(dict(sorted(attributes.items())))


def _joined(values: Sequence[Any]) -> str:
    return "\\".join(_text(value) for value in values).replace("\0", "")


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Mapping):
        kinds = ("Alphabetic", "Ideographic", "Phonetic")
        return "=".join(str(value.get(kind, "")) for kind in kinds).rstrip("=")
    return str(value)
