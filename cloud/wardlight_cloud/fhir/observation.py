"""ObservationRows to FHIR R4 Observations as JSON bytes, by template: no models on the read path.

Whatever many Observations have in common is made once (for a page by circumstances and by commit;
what names no patient or device is kept longer); the rest is put between. So an Observation is some
twenty pieces.

Numbers keep the device's precision (36.50 stays 36.50). A missing number is dataAbsentReason with
its reason. The measured time carries its offset; how sure it is stands in an extension of it.

Source  R4 4.0.1 Observation
"""

from collections.abc import Iterable
from datetime import date, datetime
from functools import lru_cache, reduce
from operator import or_
from typing import Final

import orjson

from wardlight_cloud.fhir.observation_texts import (
    CLOCK_EXTENSION,
    CLOCK_ID,
    CONTEXT_EXTENSION,
    GATEWAY_EXTENSION,
    RAW_EXTENSION,
    compared,
    components,
    extension,
    flag_extensions,
    instant,
    interpretation,
    status,
    time_provenance,
    value_place,
)
from wardlight_cloud.fhir.phd_identifier import SYSTEM as PHD_SYSTEM
from wardlight_cloud.fhir.phd_identifier import address_of, before_timestamp, timestamp
from wardlight_cloud.fhir.vocabulary import FRAGMENTS, is_amount
from wardlight_cloud.store.observation_rows import Circumstances, Kind, ObservationRow
from wardlight_shared.timestamps import OFFSET_LIMIT_MIN

IDENTIFIER_SYSTEM: Final = "urn:wardlight:observation"
_PHD: Final = f'"}},{{"system":"{PHD_SYSTEM}","value":"'
_OBJECT: Final = b'{"resourceType":"Observation","id":"'
_DAY_MIN: Final = 24 * 60
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_MINUTES: Final = tuple(b"T%02d:%02d:" % divmod(minute, 60) for minute in range(_DAY_MIN))
_SECONDS: Final = tuple(b"%02d" % second for second in range(60))
_NO_DEVICE_TIME: Final = b"]}]}"
_CLOCK: Final = (
    f'{{"url":"{CLOCK_EXTENSION}","valueReference":{{"reference":"Observation/{CLOCK_ID}'.encode()
)

_Frame = tuple[bytes, bytes, str, bytes, int, bytes, bytes, tuple[int, ...], bytes]
"""Texts of circumstances: after meta, after remarks, the PHD guide's identifier as far as the time
("" = it has none), after the identifiers; minutes of the place's offset; its text and how the time
came to be; template of the value, and the scales of its digits (none where all are whole numbers,
which the template takes as they are); the end."""


def observations(rows: Iterable[ObservationRow]) -> list[bytes]:
    """Observations as UTF-8 JSON. One turn is worth microseconds an Observation."""
    texts: list[bytes] = []
    frames: dict[Circumstances, _Frame] = {}
    commits: dict[int, tuple[bytes, bytes]] = {}
    for row in rows:
        about = row.circumstances
        frame = frames.get(about)
        if frame is None:
            frame = frames[about] = _frame(about)
        commit = commits.get(row.commit_seq)
        if commit is None:
            commit = commits[row.commit_seq] = _commit(row.commit_seq, row.stored_at)
        identity = row.observation_id.encode()
        head, identifier, phd, subject, offset_min, time, body, scales, end = frame
        seconds, micros = divmod(row.time_us, 1_000_000)
        minutes, second = divmod(seconds, 60)
        day, minute = divmod(minutes + offset_min, _DAY_MIN)
        pieces = (
            _OBJECT,
            identity,
            commit[0],
            head,
            _remarks(row) if row.context or row.raw or row.device_time else b"",
            identifier,
            identity,
            _phd_identifier(phd, row.device_time) if phd and row.device_time is not None else b"",
            subject,
            _day(day),
            _MINUTES[minute],
            _SECONDS[second] if not micros else _fraction(second, micros),
            time,
            _NO_DEVICE_TIME if row.device_time is None else _device_time(row.device_time),
            commit[1],
            body % (row.mantissas if not scales else tuple(map(_digits, row.mantissas, scales))),
            end,
        )
        texts.append(b"".join(pieces))
    return texts


def observation(row: ObservationRow) -> bytes:
    """One Observation as UTF-8 JSON."""
    (text,) = observations((row,))
    return text


def _frame(about: Circumstances) -> _Frame:
    """The kept texts with patient and device, of whom there are too many to keep theirs."""
    origin = about.origin
    # Others were stored by versions that took them: the instant stands all the same.
    offset_min = about.offset_min if abs(about.offset_min) <= OFFSET_LIMIT_MIN else 0
    head, identifier, subject, time, body, scales, end = _invariant(
        origin.metric, about.kinds, about.gateway, offset_min, about.clock, about.error_ms,
        origin.site,
    )  # fmt: skip
    patient = b'%s%s"},"effectiveDateTime":"' % (subject, str(origin.patient_id).encode())
    device = b'%s%s"}}' % (end, str(origin.device_id).encode())
    phd = before_timestamp(address_of(about.device), origin.patient_id, origin.metric)
    return head, identifier, phd, patient, offset_min, time, body, scales, device


@lru_cache(maxsize=4096)
def _invariant(
    metric: int,
    kinds: tuple[Kind, ...],
    gateway: str,
    offset_min: int,
    clock: int,
    error_ms: int,
    site: str | None,
) -> tuple[bytes, bytes, bytes, bytes, bytes, tuple[int, ...], bytes]:
    flags = reduce(or_, [kind.flags for kind in kinds])
    is_panel = kinds[0].metric != metric
    is_moles = not is_panel and is_amount(kinds[0].unit)
    fragments = FRAGMENTS[metric]
    code = fragments.code_moles if is_moles else fragments.code
    profile = fragments.profile_moles if is_moles else fragments.profile
    are_whole = not any(kind.scale or kind.absent for kind in kinds)
    digits = b"%d" if are_whole else b"%s"
    reference = {"reference": gateway_reference(gateway)}
    body_site = b"" if site is None else b',"bodySite":' + orjson.dumps({"text": site})
    return (
        profile + b'},"extension":[' + extension(GATEWAY_EXTENSION, valueReference=reference),
        flag_extensions(flags)
        + b'],"identifier":[{"system":"' + IDENTIFIER_SYSTEM.encode() + b'","value":"',
        b'"}],"status":"' + status(kinds, flags) + b'","category":' + fragments.category
        + b',"code":' + code + b',"subject":{"reference":"Patient/',
        _offset(offset_min) + time_provenance(clock, error_ms),
        components(kinds, digits) if is_panel else value_place(kinds[0], digits),
        () if are_whole else tuple([kind.scale for kind in kinds]),
        interpretation(flags) + body_site + b',"device":{"reference":"Device/',
    )  # fmt: skip


def gateway_reference(gateway: str) -> str:
    """Reference to the Device resource of a gateway."""
    return f"Device/gateway-{gateway}"


@lru_cache(maxsize=4096)
def _commit(commit_seq: int, stored_at: datetime) -> tuple[bytes, bytes]:
    """Version and time of a commit, in meta and as ``issued``."""
    moment = instant(stored_at)
    meta = f'","meta":{{"versionId":"{commit_seq}","lastUpdated":"{moment}"'
    return meta.encode(), f',"issued":"{moment}"'.encode()


def _remarks(row: ObservationRow) -> bytes:
    """Extensions that few Observations have in common."""
    raw = [extension(RAW_EXTENSION, valueString=" ".join(row.raw))] if row.raw else []
    said = [
        extension(CONTEXT_EXTENSION, valueString=f"{name}={value}") for name, value in row.context
    ]
    if compared(row.circumstances.clock, row.device_time) is not None:
        said.append(b'%s%s"}}' % (_CLOCK, row.observation_id.encode()))
    return b"".join([b"," + each for each in (*raw, *said)])


def _phd_identifier(before: str, device_time: str) -> bytes:
    """The identifier that every gateway gives the measurement, behind our own; or nothing."""
    when = timestamp(device_time)
    return f"{_PHD}{before}{when}".encode() if when else b""


@lru_cache(maxsize=4096)
def _day(day: int) -> bytes:
    return date.fromordinal(_EPOCH_DAY + day).isoformat().encode()


def _fraction(second: int, micros: int) -> bytes:
    """Seconds with milliseconds, which stand only where there are any."""
    return b"%02d.%03d" % (second, micros // 1000)


@lru_cache(maxsize=64)
def _offset(offset_min: int) -> bytes:
    return b"%c%02d:%02d" % (b"+-"[offset_min < 0], *divmod(abs(offset_min), 60))


def _device_time(text: str) -> bytes:
    """What the device said, and the end of the time's extension."""
    return (
        b',{"url":"deviceTimeAsSent","valueString":' + orjson.dumps(text) + b"}" + _NO_DEVICE_TIME
    )


def _digits(mantissa: int, scale: int) -> bytes:
    return b"%d" % mantissa if not scale else decimal_text(mantissa, scale).encode()


def decimal_text(mantissa: int, scale: int) -> str:
    """``mantissa * 10**scale`` in plain digits with all the precision given."""
    if scale >= 0:
        return str(mantissa * 10**scale)
    digits = str(abs(mantissa)).rjust(1 - scale, "0")
    return f"{'-' if mantissa < 0 else ''}{digits[:scale]}.{digits[scale:]}"
