"""Decoded values as the JSON that ``wardlight-edge decode`` prints. Pure.

    {"readings": [{"metric", "code", "value", "absent", "unit", "time", "flags", "context", ...}],
     "device": {...}}

code       MDC code of ISO/IEEE 11073-10101, null where the code table has none
value      exact decimal as a string, null when absent
absent     why there is no value, null when there is one
time       the device's own wall clock, with its offset from UTC where the device states one
raw_value, raw_unit  what was sent, where a conversion was made
user, site, record   where the device states them
samples    a waveform, where the value has one: sample s stands for (origin + s) * 10**scale
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from wardlight_edge.devices import Samples, flag_implausible
from wardlight_edge.devices.current_time import CurrentTime
from wardlight_shared.codes import METRICS
from wardlight_shared.model import NOT_CLINICAL, Absent, DeviceInfo, DeviceTime, Flag, Reading

_NOT_CLINICAL: Final = int(NOT_CLINICAL)


class Decoded(msgspec.Struct, frozen=True):
    """What was decoded: readings, what the device says of itself, waveforms."""

    readings: tuple[Reading, ...] = ()
    device: dict[str, Any] = {}
    samples: tuple[Samples, ...] = ()


def document(decoded: Decoded) -> dict[str, Any]:
    """Return the whole document; readings that must not be published are left out.

    What is implausible is flagged, and what is impossible withheld, as a gateway does it.
    """
    checked = flag_implausible(decoded.readings)
    shown: dict[str, Any] = {
        "readings": [_reading(each) for each in checked if is_publishable(each)],
        "device": decoded.device,
    }
    if decoded.samples:
        shown["samples"] = [_samples(each) for each in decoded.samples]
    return shown


def number_document(values: Sequence[Decimal | Absent]) -> dict[str, Any]:
    """Return the document of bare numbers: SFLOAT-Type or FLOAT-Type without a metric."""
    return {"readings": [_entry(value) for value in values], "device": {}}


def is_publishable(reading: Reading) -> bool:
    """Whether this is a measurement of a patient: no demonstration, test or calibration."""
    return not reading.flags & _NOT_CLINICAL


def _reading(reading: Reading) -> dict[str, Any]:
    shown = _entry(reading.value)
    shown |= {
        "metric": reading.metric,
        "code": METRICS[reading.metric].mdc,
        "unit": reading.unit,
        "time": None if reading.time is None else time_text(reading.time),
        "flags": [str(flag.name).lower().replace("_", "-") for flag in Flag(reading.flags)],
        "context": dict(reading.context),
    }
    if reading.raw_value is not None and isinstance(reading.value, Decimal):
        shown |= {"raw_value": f"{reading.raw_value:f}", "raw_unit": reading.raw_unit}
    for name in ("user", "site", "record"):
        if getattr(reading, name) is not None:
            shown[name] = getattr(reading, name)
    return shown


def _entry(value: Decimal | Absent) -> dict[str, Any]:
    is_number = isinstance(value, Decimal)
    return {
        "metric": None,
        "code": None,
        "value": f"{value:f}" if is_number else None,
        "absent": None if is_number else str(value),
        "unit": None,
        "time": None,
        "flags": [],
        "context": {},
    }


def time_text(time: DeviceTime) -> str:
    """ISO 8601, with the offset where the device states one; zeros are what it did not know."""
    if time.offset_min is None:
        return time.isoformat()
    hours, minutes = divmod(abs(time.offset_min), 60)
    return f"{time.isoformat()}{'-' if time.offset_min < 0 else '+'}{hours:02}:{minutes:02}"


def _samples(samples: Samples) -> dict[str, Any]:
    return {
        "metric": samples.metric,
        "unit": samples.unit,
        "rate_hz": f"{Decimal(samples.rate_mhz).scaleb(-3).normalize():f}",
        "first": samples.first,
        "origin": samples.origin,
        "scale": samples.scale,
        "values": memoryview(samples.samples).cast("h").tolist(),
    }


def stated(told: object) -> dict[str, Any]:
    """What a device says of itself or of its clock, without what it does not say."""
    if isinstance(told, DeviceInfo):
        return {name: text for name, text in msgspec.structs.asdict(told).items() if text}
    if isinstance(told, CurrentTime):
        shown = {
            name: each for name, each in msgspec.structs.asdict(told).items() if each is not None
        }
        if told.time is not None:
            shown["time"] = time_text(told.time)
        return {"clock": shown}
    built: object = msgspec.to_builtins(told)
    return {type(told).__name__.lower(): built}
