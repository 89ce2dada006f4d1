"""ObservationRow to a FHIR R4 Observation as JSON bytes, by template: no models on the read path.

Whatever many Observations have in common is made once and kept (by who, what and where; by commit;
by number); the rest is put between. So an Observation is a dozen pieces, joined with the page.

Numbers keep the device's precision (36.50 stays 36.50). A missing number is dataAbsentReason with
its reason. The measured time carries its offset; how sure it is stands in an extension of it.

Source  R4 4.0.1 Observation; vital signs profiles; PHD IG (data absent reasons, status)
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from functools import lru_cache, reduce
from operator import or_
from typing import Any, Final, NamedTuple

import orjson

from wardlight_cloud.fhir.vocabulary import FRAGMENTS, UCUM, is_amount, unit_text
from wardlight_cloud.store.base import ObservationRow, Origin, Value
from wardlight_shared.codes import METRICS
from wardlight_shared.model import ABSENT_BY_CODE, Absent, Flag
from wardlight_shared.records import TimeMethod
from wardlight_shared.timestamps import ClockQuality

TIME_EXTENSION: Final = "urn:wardlight:fhir:time-provenance"
RAW_EXTENSION: Final = "urn:wardlight:fhir:value-as-sent"
FLAG_EXTENSION: Final = "urn:wardlight:fhir:measurement-flag"
CONTEXT_EXTENSION: Final = "urn:wardlight:fhir:context"
GATEWAY_EXTENSION: Final = "http://hl7.org/fhir/StructureDefinition/observation-gatewayDevice"
IDENTIFIER_SYSTEM: Final = "urn:wardlight:observation"
_DAR: Final = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
_MEASUREMENT_STATUS: Final = "http://hl7.org/fhir/uv/pocd/CodeSystem/measurement-status"

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


_DAY_MIN: Final = 24 * 60
_CLOCK: Final = tuple(b"T%02d:%02d:" % divmod(minute, 60) for minute in range(_DAY_MIN))
_SECOND: Final = tuple(b"%02d" % second for second in range(60))
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()


@lru_cache(maxsize=4096)
def _day(day: int) -> bytes:
    return date.fromordinal(_EPOCH_DAY + day).isoformat().encode()


@lru_cache(maxsize=64)
def _offset(offset_min: int) -> bytes:
    return b"%c%02d:%02d" % (b"+-"[offset_min < 0], *divmod(abs(offset_min), 60))


@lru_cache(maxsize=8192)  # what is measured together stands at one time
def date_time(time_us: int, offset_min: int) -> bytes:
    """FHIR dateTime with the offset of the place; milliseconds only where there are any."""
    seconds, micros = divmod(time_us, 1_000_000)
    minutes, second = divmod(seconds, 60)
    day, minute = divmod(minutes + offset_min, _DAY_MIN)
    fraction = b".%03d" % (micros // 1000) if micros else b""
    return _day(day) + _CLOCK[minute] + _SECOND[second] + fraction + _offset(offset_min)


def decimal_text(mantissa: int, scale: int) -> str:
    """``mantissa * 10**scale`` in plain digits with all the precision given."""
    if scale >= 0:
        return str(mantissa * 10**scale)
    digits = str(abs(mantissa)).rjust(1 - scale, "0")
    return f"{'-' if mantissa < 0 else ''}{digits[:scale]}.{digits[scale:]}"


@lru_cache(maxsize=256)
def _unit_fragment(unit: str) -> bytes:
    fields = orjson.dumps({"unit": unit_text(unit), "system": UCUM, "code": unit})
    return b"," + fields[1:]


def _reason(absent: int) -> Absent | None:
    """None for a present number, and for a reason that a newer program wrote."""
    return ABSENT_BY_CODE[absent] if absent < len(ABSENT_BY_CODE) else None


@lru_cache(maxsize=32)
def _absent_fragment(absent: int) -> bytes:
    reason = _reason(absent)
    code = _DAR_CODE.get(reason, "unknown") if reason is not None else "unknown"
    concept = {"coding": [{"system": _DAR, "code": code}], "text": str(reason or "unknown")}
    return b',"dataAbsentReason":' + orjson.dumps(concept)


@lru_cache(maxsize=8192)
def _value(value: Value) -> bytes:
    if value.absent:
        return _absent_fragment(value.absent)
    number = decimal_text(value.mantissa, value.scale).encode()
    return b',"valueQuantity":{"value":' + number + _unit_fragment(value.unit)


@lru_cache(maxsize=8192)
def _component(value: Value) -> bytes:
    return b'{"code":' + FRAGMENTS[value.metric].code + _value(value) + b"}"


_SIDES: Final = tuple(METRICS[name].wire for name in ("systolic_bp", "diastolic_bp"))


@lru_cache(maxsize=8)
def _lacking(stored: tuple[int, ...]) -> tuple[bytes, ...]:
    """Sides that a pressure must show (R4 bp: 1..1 each) and that have no row."""
    concept = {"coding": [{"system": _DAR, "code": "unknown"}], "text": "not stored"}
    reason = b',"dataAbsentReason":' + orjson.dumps(concept) + b"}"
    return tuple(
        b'{"code":' + FRAGMENTS[side].code + reason for side in _SIDES if side not in stored
    )


def _is_invalid(value: Value) -> bool:
    return bool(value.flags & _INVALID) or _reason(value.absent) is Absent.INVALID


def _status(values: Sequence[Value], flags: int) -> bytes:
    if not flags and not values[0].absent:
        return b"final"
    # One bad side of a pressure is a dataAbsentReason there; the other side stands.
    if all(map(_is_invalid, values)):
        return b"entered-in-error"
    return b"preliminary" if flags & _EARLY else b"final"


@lru_cache(maxsize=1024)
def _interpretation(flags: int) -> bytes:
    codes = [code for mask, code in _STATUS_CODE if flags & mask]
    if not codes:
        return b""
    concepts = [{"coding": [{"system": _MEASUREMENT_STATUS, "code": code}]} for code in codes]
    return b',"interpretation":' + orjson.dumps(concepts)


@lru_cache(maxsize=4096)
def _time_provenance(clock: int, error_ms: int) -> bytes:
    """How the time came to be, open at its end."""
    parts: list[dict[str, Any]] = [
        {"url": "method", "valueCode": TimeMethod(clock >> 4).name.lower().replace("_", "-")},
        {"url": "clock", "valueCode": ClockQuality(clock & 15).name.lower()},
    ]
    if error_ms >= 0:
        parts.append({"url": "errorMilliseconds", "valueInteger": error_ms})
    else:
        parts.append({"url": "uncertain", "valueBoolean": True})
    extension = orjson.dumps([{"url": TIME_EXTENSION, "extension": parts}])
    return b'","_effectiveDateTime":{"extension":' + extension.removesuffix(b"]}]")


def _device_time(text: str | None) -> bytes:
    """What the device said, and the end of the time's extension."""
    if text is None:
        return b"]}]}"
    return b',{"url":"deviceTimeAsSent","valueString":' + orjson.dumps(text) + b"}]}]}"


@lru_cache(maxsize=4096)
def _extensions(
    gateway: str, raw: tuple[str, str] | None, context: tuple[tuple[str, str], ...], flags: int
) -> bytes:
    extensions: list[dict[str, Any]] = [
        {"url": GATEWAY_EXTENSION, "valueReference": {"reference": gateway_reference(gateway)}}
    ]
    if raw is not None:
        extensions.append({"url": RAW_EXTENSION, "valueString": " ".join(raw)})
    extensions += [
        {"url": CONTEXT_EXTENSION, "valueString": f"{name}={value}"} for name, value in context
    ]
    extensions += [
        {"url": FLAG_EXTENSION, "valueCode": str(flag.name).lower().replace("_", "-")}
        for flag in Flag
        if flags & flag
    ]
    return orjson.dumps(extensions)


def gateway_reference(gateway: str) -> str:
    """Reference to the Device resource of a gateway."""
    return f"Device/gateway-{gateway}"


class _Frame(NamedTuple):
    """The pieces of an Observation that many have: after meta, identifier, time and number."""

    extension: bytes
    identifier: bytes
    time: bytes
    value: bytes


@lru_cache(maxsize=8192)
def _frame(
    origin: Origin, gateway: str, clock: int, error_ms: int, status: bytes, flags: int, unit: str,
    raw: tuple[str, str] | None, context: tuple[tuple[str, str], ...],
) -> _Frame:  # fmt: skip
    fragments = FRAGMENTS[origin.metric]
    is_moles = is_amount(unit)
    code = fragments.code_moles if is_moles else fragments.code
    profile = fragments.profile_moles if is_moles else fragments.profile
    subject = f',"subject":{{"reference":"Patient/{origin.patient_id}"}},"effectiveDateTime":"'
    device = f',"device":{{"reference":"Device/{origin.device_id}"}}}}'
    site = b"" if origin.site is None else b',"bodySite":' + orjson.dumps({"text": origin.site})
    extensions = _extensions(gateway, raw, context, flags)
    return _Frame(
        profile + b'},"extension":' + extensions
        + b',"identifier":[{"system":"' + IDENTIFIER_SYSTEM.encode() + b'","value":"',
        b'"}],"status":"' + status + b'","category":' + fragments.category
        + b',"code":' + code + subject.encode(),
        _time_provenance(clock, error_ms),
        _interpretation(flags) + site + device.encode(),
    )  # fmt: skip


@lru_cache(maxsize=4096)
def _commit(commit_seq: int, stored_at: datetime) -> tuple[bytes, bytes]:
    """Version and time of a commit, in meta and as ``issued``."""
    moment = instant(stored_at)
    meta = f'","meta":{{"versionId":"{commit_seq}","lastUpdated":"{moment}"'
    return meta.encode(), f',"issued":"{moment}"'.encode()


def observation_parts(row: ObservationRow) -> tuple[bytes, ...]:
    """One Observation as UTF-8 JSON, in pieces to be joined."""
    identity = row.observation_id.encode()
    origin, values = row.origin, row.values
    first = values[0]
    if first.metric == origin.metric:
        flags, unit, body = first.flags, first.unit, _value(first)
    else:
        flags, unit = reduce(or_, [value.flags for value in values]), ""
        lacking = _lacking(tuple([value.metric for value in values]))
        body = b',"component":[' + b",".join([*map(_component, values), *lacking]) + b"]"
    frame = _frame(
        origin, row.gateway, row.clock, row.error_ms, _status(values, flags), flags, unit, row.raw,
        row.context,
    )  # fmt: skip
    meta, issued = _commit(row.commit_seq, row.stored_at)
    return (
        b'{"resourceType":"Observation","id":"',
        identity,
        meta,
        frame.extension,
        identity,
        frame.identifier,
        date_time(row.time_us, row.offset_min),
        frame.time,
        _device_time(row.device_time),
        issued,
        body,
        frame.value,
    )


def observation(row: ObservationRow) -> bytes:
    """One Observation as UTF-8 JSON."""
    return b"".join(observation_parts(row))
