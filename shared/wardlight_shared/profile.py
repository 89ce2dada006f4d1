"""Schema of firmware-configs/*.toml: text to Profile, with errors that name file and key.

A profile says how to find a device, how to talk to it and what it measures. Reading files is the
edge's work. docs/add-a-device.md and firmware-configs/README.md describe every key.

Errors  ProfileError
"""

import sys
import tomllib
from math import isfinite
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from wardlight_shared.codes import METRICS
from wardlight_shared.errors import ProfileError

_Uuid = Annotated[
    str,
    Meta(
        pattern=r"\A(0x[0-9A-F]{4}|[0-9A-F]{8}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{12})\Z"
    ),
]
_Name = Annotated[str, Meta(min_length=1, max_length=80)]


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class DeviceSection(_Strict, frozen=True):
    """Who made it. ``mdc_type`` is an MDC_DEV_SPEC_PROFILE_* code."""

    manufacturer: _Name
    model: _Name
    mdc_type: int | None = None


class MatchBle(_Strict, frozen=True):
    """How an advertisement of this device looks; every given key must match."""

    service: _Uuid | None = None
    name_prefix: str | None = None
    manufacturer_id: Annotated[int, Meta(ge=0, le=0xFFFF)] | None = None


class MatchInfo(_Strict, frozen=True):
    """How Device Information picks this profile over a generic one (case-insensitive prefixes)."""

    manufacturer: str | None = None
    model: str | None = None


class Match(_Strict, frozen=True):
    """How to recognise the device."""

    ble: MatchBle | None = None
    info: MatchInfo | None = None


class TransportBle(_Strict, frozen=True):
    """How to talk GATT. Characteristics are subscribed in the order given, before any read.

    stay_connected  True: a stream (oximeter, strap), False: connect, receive, be hung up
    bond            True: pair before subscribing when not bonded
    set_clock       characteristic to write the time to after reading it ("0x2A2B", "0x2A08")
    idle_timeout_s  leave after this long without data
    """

    indicate: tuple[_Uuid, ...] = ()
    notify: tuple[_Uuid, ...] = ()
    read_once: tuple[_Uuid, ...] = ()
    stay_connected: bool = False
    bond: bool = True
    set_clock: _Uuid | None = None
    idle_timeout_s: Annotated[float, Meta(gt=0, le=3600)] = 15.0


class TransportSerial(_Strict, frozen=True):
    """Line settings; ``silence_s`` without a valid frame means the device is off."""

    baud: Annotated[int, Meta(ge=300, le=921_600)]
    bytesize: Literal[7, 8] = 8
    parity: Literal["N", "E", "O"] = "N"
    stopbits: Literal[1, 2] = 1
    silence_s: Annotated[float, Meta(gt=0, le=600)] = 5.0
    start: Annotated[str, Meta(pattern=r"\A([0-9A-F]{2} ?)*\Z")] = ""


class TransportLan(_Strict, frozen=True):
    """A device that connects to a port of the gateway (``[lan.*]`` of its settings).

    idle_timeout_s  a connection that says nothing for this long is closed
    """

    idle_timeout_s: Annotated[float, Meta(gt=0, le=86_400)] = 900.0


class TransportAdverts(_Strict, frozen=True):
    """A BLE device that advertises its values: it is listened to, never connected.

    silence_s  after so long without a word the same bytes are a new measurement
    """

    silence_s: Annotated[float, Meta(gt=0, le=86_400)] = 300.0


class Transport(_Strict, frozen=True):
    """At most one of the transports."""

    ble: TransportBle | None = None
    adverts: TransportAdverts | None = None
    serial: TransportSerial | None = None
    lan: TransportLan | None = None


class StreamSection(_Strict, frozen=True):
    """The device is a stream: samples are folded into blocks of ``block_s`` seconds."""

    block_s: Annotated[int, Meta(ge=1, le=60)] = 60
    period_ms: Annotated[int, Meta(ge=1, le=60_000)] = 1000
    tick_ms: Annotated[int, Meta(ge=1, le=1000)] = 10


class MetricSection(_Strict, frozen=True):
    """One metric of the device. ``plausible`` (low, high) in the table's unit; outside: flagged.

    alarm_low, alarm_high  edge limits: a reading at or beyond goes on the alarm lane
    """

    name: _Name
    units: tuple[str, ...] = ()
    plausible: tuple[float, float] | None = None
    alarm_low: float | None = None
    alarm_high: float | None = None


class Profile(_Strict, frozen=True, rename={"metrics": "metric"}):
    """One device profile. ``decoder`` names a module of wardlight_edge.devices."""

    schema: Literal[1]
    decoder: Annotated[str, Meta(pattern=r"\A[a-z][a-z0-9_]*\Z")]
    device: DeviceSection
    metrics: Annotated[tuple[MetricSection, ...], Meta(min_length=1)]
    match: Match = Match()
    transport: Transport = Transport()
    stream: StreamSection | None = None
    options: dict[str, str | int | float | bool] = {}


_TRANSPORTS = ("ble", "adverts", "serial", "lan")


def parse(text: str, *, source: str) -> Profile:
    """Parse one profile; ``source`` (the file's name) stands in every error."""
    try:
        profile = msgspec.convert(tomllib.loads(text), Profile)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ProfileError(f"{source}: {error}") from error
    _check(profile, source)
    return profile


def _check(profile: Profile, source: str) -> None:
    unknown = [metric.name for metric in profile.metrics if metric.name not in METRICS]
    if unknown:
        raise ProfileError(f"{source}: metric {unknown[0]!r} is not in the code table")
    given = [name for name in _TRANSPORTS if getattr(profile.transport, name) is not None]
    if len(given) > 1:
        first, second = given[:2]
        raise ProfileError(
            f"{source}: [transport.{first}] and [transport.{second}] exclude each other"
        )
    names = [metric.name for metric in profile.metrics]
    for metric in profile.metrics:
        problem = "has two [[metric]]" if names.count(metric.name) > 1 else _problem(metric)
        if problem:
            raise ProfileError(f"{source}: metric {metric.name!r} {problem}")


def _problem(metric: MetricSection) -> str | None:
    row = METRICS[metric.name]
    strange = set(metric.units) - {row.unit, *row.units_also}
    if strange:
        return f"units: the code table does not permit {min(strange)!r}"
    if metric.plausible is not None and not _ascend(*metric.plausible):
        return "plausible: low and high must be numbers, low first"
    low = -sys.float_info.max if metric.alarm_low is None else metric.alarm_low
    high = sys.float_info.max if metric.alarm_high is None else metric.alarm_high
    return None if _ascend(low, high) else "alarm_low must be a number below alarm_high"


def _ascend(low: float, high: float) -> bool:
    return isfinite(low) and isfinite(high) and low < high
