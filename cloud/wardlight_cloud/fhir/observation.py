"""ObservationRow to a FHIR R4 Observation as JSON bytes, by template: no models on the read path.

Numbers keep the device's precision (36.50 stays 36.50). A missing number is dataAbsentReason with
its reason. The measured time carries its offset; how sure it is stands in an extension of it.

Source  R4 4.0.1 Observation; vital signs profiles; PHD IG (data absent reasons, status)
"""

from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache, reduce
from operator import or_
from typing import Any, Final
from uuid import UUID

import orjson

from wardlight_cloud.fhir.vocabulary import FRAGMENTS, UCUM, unit_text
from wardlight_cloud.store.base import ObservationRow, Value
from wardlight_shared.codes import BY_WIRE
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


@lru_cache(maxsize=64)
def _zone(offset_min: int) -> timezone:
    return timezone(timedelta(minutes=offset_min))


@lru_cache(maxsize=4096)
def instant(moment: datetime) -> str:
    """FHIR instant in UTC with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def date_time(moment: datetime, offset_min: int) -> str:
    """FHIR dateTime with the offset of the place; milliseconds only where there are any."""
    local = moment.astimezone(_zone(offset_min))
    return local.isoformat(timespec="milliseconds" if local.microsecond else "seconds")


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


def _is_invalid(value: Value) -> bool:
    return bool(value.flags & Flag.INVALID) or _reason(value.absent) is Absent.INVALID


def _status(row: ObservationRow, flags: int) -> bytes:
    # One bad side of a pressure is a dataAbsentReason there; the other side stands.
    if all(map(_is_invalid, row.values)):
        return b"entered-in-error"
    return b"preliminary" if flags & Flag.EARLY else b"final"


@lru_cache(maxsize=1024)
def _interpretation(flags: int) -> bytes:
    codes = [code for mask, code in _STATUS_CODE if flags & mask]
    if not codes:
        return b""
    concepts = [{"coding": [{"system": _MEASUREMENT_STATUS, "code": code}]} for code in codes]
    return b',"interpretation":' + orjson.dumps(concepts)


@lru_cache(maxsize=4096)
def _time_provenance(clock: int, error_ms: int, device_time: str | None) -> bytes:
    parts: list[dict[str, Any]] = [
        {"url": "method", "valueCode": TimeMethod(clock >> 4).name.lower().replace("_", "-")},
        {"url": "clock", "valueCode": ClockQuality(clock & 15).name.lower()},
    ]
    if error_ms >= 0:
        parts.append({"url": "errorMilliseconds", "valueInteger": error_ms})
    else:
        parts.append({"url": "uncertain", "valueBoolean": True})
    if device_time is not None:
        parts.append({"url": "deviceTimeAsSent", "valueString": device_time})
    extension = orjson.dumps([{"url": TIME_EXTENSION, "extension": parts}])
    return b'","_effectiveDateTime":{"extension":' + extension + b"}"


def _effective(row: ObservationRow) -> bytes:
    text = date_time(row.time, row.offset_min).encode()
    provenance = _time_provenance(row.clock, row.error_ms, row.device_time)
    return b',"effectiveDateTime":"' + text + provenance


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


@lru_cache(maxsize=4096)
def _tail(patient: UUID, device: UUID) -> tuple[bytes, bytes]:
    subject = f',"subject":{{"reference":"Patient/{patient}"}}'
    return subject.encode(), f',"device":{{"reference":"Device/{device}"}}}}'.encode()


def gateway_reference(gateway: str) -> str:
    """Reference to the Device resource of a gateway."""
    return f"Device/gateway-{gateway}"


def observation(row: ObservationRow) -> bytes:
    """One Observation as UTF-8 JSON."""
    fragments = FRAGMENTS[row.metric]
    identity = row.observation_id.encode()
    is_panel = BY_WIRE[row.metric].name != BY_WIRE[row.values[0].metric].name
    flags = reduce(or_, (value.flags for value in row.values))
    moles = not is_panel and "mol" in row.values[0].unit
    if is_panel:
        body = b',"component":[' + b",".join(map(_component, row.values)) + b"]"
    else:
        body = _value(row.values[0])
    subject, device = _tail(row.patient_id, row.device_id)
    stored_at = instant(row.stored_at).encode()
    site = b"" if row.site is None else b',"bodySite":' + orjson.dumps({"text": row.site})
    return b"".join(
        (
            b'{"resourceType":"Observation","id":"',
            identity,
            b'","meta":{"versionId":"',
            str(row.commit_seq).encode(),
            b'","lastUpdated":"',
            stored_at,
            b'"',
            fragments.meta_profile,
            b'},"extension":',
            _extensions(row.gateway, row.raw, row.context, flags),
            b',"identifier":[{"system":"' + IDENTIFIER_SYSTEM.encode() + b'","value":"',
            identity,
            b'"}],"status":"',
            _status(row, flags),
            b'","category":',
            fragments.category,
            b',"code":',
            fragments.code_moles if moles else fragments.code,
            subject,
            _effective(row),
            b',"issued":"' + stored_at + b'"',
            body,
            _interpretation(flags),
            site,
            device,
        )
    )
