"""Texts of an Observation that many have in common, as pieces of JSON made once.

Source  R4 4.0.1 Observation; vital signs profiles; PHD IG (data absent reasons, status)
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import orjson

from wardlight_cloud.fhir.vocabulary import FRAGMENTS, UCUM, unit_text
from wardlight_cloud.store.observation_rows import Kind
from wardlight_cloud.store.observation_sieve import Marks
from wardlight_shared.codes import METRICS
from wardlight_shared.model import ABSENT_BY_CODE, CODE_BY_ABSENT, Absent, Flag
from wardlight_shared.records import TimeMethod
from wardlight_shared.timestamps import OFFSET_LIMIT_MIN, ClockQuality

TIME_EXTENSION: Final = "urn:wardlight:fhir:time-provenance"
RAW_EXTENSION: Final = "urn:wardlight:fhir:value-as-sent"
FLAG_EXTENSION: Final = "urn:wardlight:fhir:measurement-flag"
CONTEXT_EXTENSION: Final = "urn:wardlight:fhir:context"
GATEWAY_EXTENSION: Final = "http://hl7.org/fhir/StructureDefinition/observation-gatewayDevice"
CLOCK_EXTENSION: Final = (
    "http://hl7.org/fhir/uv/phd/StructureDefinition/CoincidentTimeStampReference"
)
CLOCK_ID: Final = "clock-"
"""Before the id of a reading: what the device's clock said at the time of it."""
UNKNOWN: Final = "unknown"
"""Why a side of a pressure has no number when nothing was stored of it, and the last resort."""
DAR: Final = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
MEASUREMENT_STATUS: Final = "http://hl7.org/fhir/uv/pocd/CodeSystem/measurement-status"

# PHD IG: special values map to these codes of data-absent-reason.
_DAR_CODE: Final = {
    Absent.NAN: "not-a-number",
    Absent.POSITIVE_INFINITY: "positive-infinity",
    Absent.NEGATIVE_INFINITY: "negative-infinity",
    Absent.NRES: "error",
    Absent.RESERVED: "error",
    Absent.NOT_MEASURED: "not-performed",
    Absent.UNSUCCESSFUL: "error",
    Absent.SENSOR_OFF: "not-performed",
    Absent.SENSOR_FAULT: "error",
    Absent.OVER_RANGE: "positive-infinity",
    Absent.UNDER_RANGE: "negative-infinity",
    Absent.INVALID: "error",
}
# Plain numbers: an operation on an enum takes longer than all the rest of a row.
_INVALID: Final = int(Flag.INVALID)
_EARLY: Final = int(Flag.EARLY)
_AMENDED: Final = int(Flag.CORRECTED | Flag.WITHDRAWN)
_BADLY_MEASURED: Final = (
    Flag.QUESTIONABLE
    | Flag.IMPLAUSIBLE
    | Flag.BODY_MOVEMENT
    | Flag.CUFF_LOOSE
    | Flag.IMPROPER_POSITION
    | Flag.SENSOR_OFF
    | Flag.SENSOR_FAULT
    | Flag.SIGNAL_POOR
    | Flag.LOW_PERFUSION
    | Flag.ARTIFACT
    | Flag.OUT_OF_TRACK
    | Flag.CONTACT_LOST
)
_STATUS_CODE: Final = (
    (_BADLY_MEASURED, "questionable"),
    (Flag.CALIBRATING, "calibration-ongoing"),
    (Flag.EARLY, "early-indication"),
    (Flag.DEVICE_ALARM, "in-alarm"),
)


@lru_cache(maxsize=4096)
def instant(moment: datetime) -> str:
    """FHIR instant in UTC with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@lru_cache(maxsize=256)
def _unit_fragment(unit: str) -> bytes:
    fields = orjson.dumps({"unit": unit_text(unit), "system": UCUM, "code": unit})
    return b"," + fields[1:]


def _reason(absent: int) -> Absent | None:
    """None for a present number, and for a reason that a newer program wrote."""
    return ABSENT_BY_CODE[absent] if absent < len(ABSENT_BY_CODE) else None


@lru_cache(maxsize=256)
def absent_code(absent: int) -> str:
    """Code of dataAbsentReason for a wire code that is not 0."""
    reason = _reason(absent)
    return UNKNOWN if reason is None else _DAR_CODE.get(reason, UNKNOWN)


@lru_cache(maxsize=32)
def _absent_fragment(absent: int) -> bytes:
    code = absent_code(absent)
    concept = {"coding": [{"system": DAR, "code": code}], "text": str(_reason(absent) or "unknown")}
    return b',"dataAbsentReason":' + orjson.dumps(concept)


def value_place(kind: Kind, digits: bytes) -> bytes:
    """Template of a value with ``digits`` as their place, or the reason why there are none."""
    if kind.absent:
        return b"%.0s" + _literal(_absent_fragment(kind.absent))  # takes digits, shows nothing
    return b',"valueQuantity":{"value":' + digits + _literal(_unit_fragment(kind.unit))


def _literal(text: bytes) -> bytes:
    """Text of a template that stays as it is."""
    return text.replace(b"%", b"%%")


SIDES: Final = tuple(METRICS[name].wire for name in ("systolic_bp", "diastolic_bp"))
_NOT_STORED: Final = b',"dataAbsentReason":' + orjson.dumps(
    {"coding": [{"system": DAR, "code": "unknown"}], "text": "not stored"}
)


def components(kinds: Sequence[Kind], digits: bytes) -> bytes:
    """Template of a panel; both sides of a pressure are in it (R4 bp: 1..1 each)."""
    parts = [(kind.metric, value_place(kind, digits)) for kind in kinds]
    present = {kind.metric for kind in kinds}
    parts += [(side, _NOT_STORED) for side in SIDES if side not in present]
    texts = [
        b'{"code":' + _literal(FRAGMENTS[metric].code) + place + b"}" for metric, place in parts
    ]
    return b',"component":[' + b",".join(texts) + b"]"


def _is_invalid(kind: Kind) -> bool:
    return bool(kind.flags & _INVALID) or _reason(kind.absent) is Absent.INVALID


STATUS_MARKS: Final[dict[bytes, Marks | None]] = {
    b"entered-in-error": Marks(_INVALID, (CODE_BY_ABSENT[Absent.INVALID],)),
    b"corrected": Marks(_AMENDED),
    b"preliminary": Marks(_EARLY),
    b"final": None,
}
"""By code of ``Observation.status``: what one of its numbers has at least; None = nothing."""


def status(kinds: Sequence[Kind], flags: int) -> bytes:
    """Code of ``Observation.status``."""
    # One bad side of a pressure is a dataAbsentReason there; the other side stands.
    if all(map(_is_invalid, kinds)):
        return b"entered-in-error"
    if flags & _AMENDED:  # of a panel perhaps one side only
        return b"corrected"
    return b"preliminary" if flags & _EARLY else b"final"


@lru_cache(maxsize=1024)
def interpretation(flags: int) -> bytes:
    """What the device said about the measurement, or nothing."""
    codes = [code for mask, code in _STATUS_CODE if flags & mask]
    if not codes:
        return b""
    concepts = [{"coding": [{"system": MEASUREMENT_STATUS, "code": code}]} for code in codes]
    return b',"interpretation":' + orjson.dumps(concepts)


_BY_DEVICE_CLOCK: Final = int(TimeMethod.DEVICE_CLOCK)
_WHOLE_TIME: Final = len("2026-03-10T12:00:00")
_FARTHEST_ZONE: Final = timedelta(minutes=OFFSET_LIMIT_MIN)
# A newer program may have stored what stands in neither table.
_METHODS: Final = {int(each): each.name.lower().replace("_", "-") for each in TimeMethod}
_CLOCKS: Final = {int(each): each.name.lower() for each in ClockQuality}


@lru_cache(maxsize=4096)
def time_provenance(clock: int, error_ms: int) -> bytes:
    """How the time came to be, open at its end; begins with the end of the time itself."""
    parts: list[dict[str, Any]] = [
        {"url": "method", "valueCode": _METHODS.get(clock >> 4, UNKNOWN)},
        {"url": "clock", "valueCode": _CLOCKS.get(clock & 15, UNKNOWN)},
    ]
    if error_ms >= 0:
        parts.append({"url": "errorMilliseconds", "valueInteger": error_ms})
    else:
        parts.append({"url": "uncertain", "valueBoolean": True})
    extension = orjson.dumps([{"url": TIME_EXTENSION, "extension": parts}])
    return b'","_effectiveDateTime":{"extension":' + extension.removesuffix(b"]}]")


def compared(clock: int, device_time: str | None) -> datetime | None:
    """What a device's clock said of a time that its gateway found by comparing the clocks.

    None where they were not compared, or the device said no date, or an offset that R4 cannot say.
    """
    if device_time is None or clock >> 4 != _BY_DEVICE_CLOCK or len(device_time) < _WHOLE_TIME:
        return None
    try:
        told = datetime.fromisoformat(device_time)
    except ValueError:
        return None
    offset = told.utcoffset()
    return None if offset is not None and abs(offset) > _FARTHEST_ZONE else told


def extension(url: str, **value: Any) -> bytes:
    """One extension with its value."""
    return orjson.dumps({"url": url, **value})


@lru_cache(maxsize=1024)
def flag_extensions(flags: int) -> bytes:
    """An extension for each flag, behind others."""
    codes = [str(flag.name).lower().replace("_", "-") for flag in Flag if flags & flag]
    return b"".join([b"," + extension(FLAG_EXTENSION, valueCode=code) for code in codes])
