"""ObservationRow to a FHIR R4 Observation as JSON bytes, by template: no models on the read path.

Whatever many Observations have in common is made once and kept (by circumstances; by commit; by
digits); the rest is put between. So an Observation is a dozen pieces, joined with the page.

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
from wardlight_cloud.store.observation_rows import Circumstances, Kind, ObservationRow
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
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()


@lru_cache(maxsize=4096)
def _day(day: int) -> bytes:
    return date.fromordinal(_EPOCH_DAY + day).isoformat().encode()


@lru_cache(maxsize=64)
def _offset(offset_min: int) -> bytes:
    return b"%c%02d:%02d" % (b"+-"[offset_min < 0], *divmod(abs(offset_min), 60))


def date_time(time_us: int, offset_min: int) -> bytes:
    """FHIR dateTime with the offset of the place; milliseconds only where there are any."""
    seconds, micros = divmod(time_us, 1_000_000)
    minutes, second = divmod(seconds, 60)
    day, minute = divmod(minutes + offset_min, _DAY_MIN)
    fraction = b".%03d" % (micros // 1000) if micros else b""
    # Making it anew is faster than looking for it among thousands.
    return b"%sT%02d:%02d:%02d%s%s" % (
        _day(day), *divmod(minute, 60), second, fraction, _offset(offset_min)
    )  # fmt: skip


def decimal_text(mantissa: int, scale: int) -> str:
    """``mantissa * 10**scale`` in plain digits with all the precision given."""
    if scale >= 0:
        return str(mantissa * 10**scale)
    digits = str(abs(mantissa)).rjust(1 - scale, "0")
    return f"{'-' if mantissa < 0 else ''}{digits[:scale]}.{digits[scale:]}"


def _digits(mantissa: int, scale: int) -> bytes:
    return b"%d" % mantissa if not scale else decimal_text(mantissa, scale).encode()


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


def _place(kind: Kind) -> bytes:
    """Template of a value with a place for its digits, or with the reason why there are none."""
    if kind.absent:
        return b"%.0s" + _literal(_absent_fragment(kind.absent))  # takes digits, shows nothing
    return b',"valueQuantity":{"value":%s' + _literal(_unit_fragment(kind.unit))


def _literal(text: bytes) -> bytes:
    """Text of a template that stays as it is."""
    return text.replace(b"%", b"%%")


_SIDES: Final = tuple(METRICS[name].wire for name in ("systolic_bp", "diastolic_bp"))
_NOT_STORED: Final = b',"dataAbsentReason":' + orjson.dumps(
    {"coding": [{"system": _DAR, "code": "unknown"}], "text": "not stored"}
)


def _components(kinds: Sequence[Kind]) -> bytes:
    """Template of a panel; both sides of a pressure are in it (R4 bp: 1..1 each)."""
    parts = [(kind.metric, _place(kind)) for kind in kinds]
    present = {kind.metric for kind in kinds}
    parts += [(side, _NOT_STORED) for side in _SIDES if side not in present]
    texts = [
        b'{"code":' + _literal(FRAGMENTS[metric].code) + place + b"}" for metric, place in parts
    ]
    return b',"component":[' + b",".join(texts) + b"]"


def _is_invalid(kind: Kind) -> bool:
    return bool(kind.flags & _INVALID) or _reason(kind.absent) is Absent.INVALID


def _status(kinds: Sequence[Kind], flags: int) -> bytes:
    # One bad side of a pressure is a dataAbsentReason there; the other side stands.
    if all(map(_is_invalid, kinds)):
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


def _extension(url: str, **value: Any) -> bytes:
    return orjson.dumps({"url": url, **value})


def _remarks(row: ObservationRow) -> bytes:
    """Extensions that few Observations have in common."""
    raw = [_extension(RAW_EXTENSION, valueString=" ".join(row.raw))] if row.raw else []
    said = [
        _extension(CONTEXT_EXTENSION, valueString=f"{name}={value}") for name, value in row.context
    ]
    return b"".join([b"," + extension for extension in (*raw, *said)])


@lru_cache(maxsize=1024)
def _flag_extensions(flags: int) -> bytes:
    codes = [str(flag.name).lower().replace("_", "-") for flag in Flag if flags & flag]
    return b"".join([b"," + _extension(FLAG_EXTENSION, valueCode=code) for code in codes])


def gateway_reference(gateway: str) -> str:
    """Reference to the Device resource of a gateway."""
    return f"Device/gateway-{gateway}"


class _Frame(NamedTuple):
    """Texts of circumstances: after meta, remarks, id, time, issued (a template), digits."""

    gateway: bytes
    identifier: bytes
    subject: bytes
    time: bytes
    body: bytes
    device: bytes
    scales: tuple[int, ...]


@lru_cache(maxsize=8192)
def _frame(about: Circumstances) -> _Frame:
    origin, kinds = about.origin, about.kinds
    flags = reduce(or_, [kind.flags for kind in kinds])
    is_panel = kinds[0].metric != origin.metric
    is_moles = not is_panel and is_amount(kinds[0].unit)
    fragments = FRAGMENTS[origin.metric]
    code = fragments.code_moles if is_moles else fragments.code
    profile = fragments.profile_moles if is_moles else fragments.profile
    gateway = {"reference": gateway_reference(about.gateway)}
    subject = f',"subject":{{"reference":"Patient/{origin.patient_id}"}},"effectiveDateTime":"'
    device = f',"device":{{"reference":"Device/{origin.device_id}"}}}}'
    site = b"" if origin.site is None else b',"bodySite":' + orjson.dumps({"text": origin.site})
    return _Frame(
        profile + b'},"extension":[' + _extension(GATEWAY_EXTENSION, valueReference=gateway),
        _flag_extensions(flags)
        + b'],"identifier":[{"system":"' + IDENTIFIER_SYSTEM.encode() + b'","value":"',
        b'"}],"status":"' + _status(kinds, flags) + b'","category":' + fragments.category
        + b',"code":' + code + subject.encode(),
        _time_provenance(about.clock, about.error_ms),
        _components(kinds) if is_panel else _place(kinds[0]),
        _interpretation(flags) + site + device.encode(),
        tuple([kind.scale for kind in kinds]),
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
    frame = _frame(row.circumstances)
    meta, issued = _commit(row.commit_seq, row.stored_at)
    return (
        b'{"resourceType":"Observation","id":"',
        identity,
        meta,
        frame.gateway,
        _remarks(row) if row.context or row.raw else b"",
        frame.identifier,
        identity,
        frame.subject,
        date_time(row.time_us, row.circumstances.offset_min),
        frame.time,
        _device_time(row.device_time),
        issued,
        frame.body % tuple(map(_digits, row.mantissas, frame.scales)),
        frame.device,
    )


def observation(row: ObservationRow) -> bytes:
    """One Observation as UTF-8 JSON."""
    return b"".join(observation_parts(row))
