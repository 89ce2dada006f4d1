"""The identifier by which two gateways that hear one sensor know one measurement of it.

    DEVICE-PATIENT-TYPE-TIMESTAMP

DEVICE     EUI-48 or EUI-64 of the sensor, 12 or 16 hex digits
PATIENT    the logical id, or an identifier's value, a dash and its system
TYPE       MDC code, decimal
TIMESTAMP  the sensor's own time, never a corrected one: seconds since 2000-01-01 on its clock, with
           the digits it told; behind it the offset in quarters of an hour, if it told one (``+4``),
           and ``..`` with a duration; then supplemental types, a dash before each

A sensor that tells no time has none of these. Ours have the logical id, and neither duration nor
supplemental types: these are not known.

Source  HL7 Personal Health Device IG 2.0.0-ballot2, PhdBaseObservation, Generating the PHD Reported
        Timestamp Identifier
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final
from uuid import UUID

from wardlight_shared.codes import BY_WIRE

SYSTEM: Final = "http://hl7.org/fhir/uv/phd/StructureDefinition/PhdBaseObservation"
_EPOCH: Final = datetime(2000, 1, 1)  # noqa: DTZ001 - a clock that says no zone
_QUARTER: Final = timedelta(minutes=15)
_NEVER_SET: Final = timedelta(seconds=10**7)
"""A clock that says less began at 2000 with its battery: it says the same again with the next."""

_ADDRESS: Final = re.compile(r"ble:([0-9A-F]{12})")
_NAMED: Final = re.compile(
    r"(?P<device>[0-9A-F]{12}|[0-9A-F]{16})-(?P<patient>.{1,512})-(?P<type>\d{5,8})"
    r"-(?P<seconds>\d{8,10})(?P<fraction>\.\d{1,9})?(?P<offset>[+-]\d{1,2})?"
    r"(?:\.\.\d{1,9}(?:\.\d{1,9})?)?(?:-\d{5,8})*",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Named:
    """An identifier, taken apart. ``told``: the sensor's time as it may have told it."""

    device: str
    patient: str
    type: str
    told: tuple[str, ...]


def address_of(identity: str) -> str:
    """The sensor's part, of its identity in the register; "" = it has no such address."""
    match = _ADDRESS.fullmatch(identity)
    return "" if match is None else match[1]


def before_timestamp(address: str, patient: UUID, metric: int) -> str:
    """An identifier up to its timestamp; "" for a sensor or a metric without a number."""
    row = BY_WIRE.get(metric)
    if not address or row is None or row.mdc is None:
        return ""
    return f"{address}-{patient}-{row.mdc}-"


@lru_cache(maxsize=4096)
def timestamp(device_time: str) -> str:
    """A sensor's time, as it told it, as seconds; "" when it is none that tells moments apart."""
    try:
        told = datetime.fromisoformat(device_time)
    except ValueError:
        return ""
    offset = told.utcoffset()
    since = told.replace(tzinfo=None) - _EPOCH
    if since < _NEVER_SET or (offset is not None and offset % _QUARTER):
        return ""
    seconds = str(since.days * 86_400 + since.seconds)
    if "." in device_time:
        digits = device_time.partition(".")[2]
        seconds += "." + digits[: len(digits) - len(digits.lstrip("0123456789"))]
    return seconds if offset is None else f"{seconds}{offset // _QUARTER:+d}"


def named(text: str) -> Named | None:
    """An identifier taken apart; None when it is none."""
    match = _NAMED.fullmatch(text)
    if match is None:
        return None
    told = (_EPOCH + timedelta(seconds=int(match["seconds"]))).isoformat()
    told += match["fraction"] or ""
    return Named(
        match["device"], match["patient"], match["type"], _with_offset(told, match["offset"])
    )


def _with_offset(told: str, quarters: str | None) -> tuple[str, ...]:
    if quarters is None:
        return (told,)
    minutes = int(quarters) * 15
    offset = f"{told}{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
    return (offset, f"{told}Z") if minutes == 0 else (offset,)
