"""What the gateway says of itself: one Snapshot for status page, CLI and health record.

Everything here is counts, ages and ids; no measured value and no name.
"""

import os
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

import msgspec

from wardlight_edge import imaging_health
from wardlight_edge.enrolment.calibration import Calibration
from wardlight_edge.imaging_status import ImagingStatus
from wardlight_edge.outbox.base import Level, OutboxStatus
from wardlight_shared.records import StatusBody

_PAGE = os.sysconf("SC_PAGE_SIZE")
UNACKED_S = 60.0
"""After this long without any answer somebody should look; a restarted collector needs less."""


class DeviceSnapshot(msgspec.Struct, frozen=True):
    """One enrolled device. ``state`` is a word of docs/operations.md, ``reason`` says why.

    waiting          readings that wait until the device is known
    origin           where it is written down: "settings file" or "enrolled"
    heard_age_s      since it last gave a sign of life, also without data
    signal_dbm       how well a radio heard it then
    bond             the adapter that holds its bond; "" = none, None = it needs none
    knows_serial     whether a serial number is compared; None = such a device has none
    calibration_due  day by which it must be calibrated, calibration what that means today
    """

    identity: str
    profile: str
    state: str
    reason: str | None
    last_data_age_s: float | None
    battery_percent: int | None
    readings: int
    decode_errors: int
    lost: int
    waiting: int = 0
    origin: str = "settings file"
    heard_age_s: float | None = None
    signal_dbm: int | None = None
    bond: str | None = None
    knows_serial: bool | None = None
    calibration_due: date | None = None
    calibration: Calibration | None = None


class RadioSnapshot(msgspec.Struct, frozen=True):
    """One adapter ("hci0") or proxy ("proxy livingroom").

    reason       why it does not serve, None = it does
    links        connections that stand or are being made; None: it only hears
    heard_age_s  since it last heard any device; None = never
    """

    name: str
    reason: str | None
    links: int | None
    heard_age_s: float | None


class UplinkSnapshot(msgspec.Struct, frozen=True):
    """The way to the collector.

    unacked_age_s  for how long something is on its way without any answer, None = nothing is
    withheld       records that wait for a collector of a newer version
    images         why images do not go up, None = they do, or there are none
    """

    connected: bool
    state_age_s: float | None
    last_ack_age_s: float | None
    round_trip_ms: int | None
    in_flight_batches: int
    reason: str | None
    unacked_age_s: float | None = None
    withheld: int = 0
    images: str | None = None


class Snapshot(msgspec.Struct, frozen=True):
    """The whole gateway at one moment. ``trouble`` are sentences for a person, worst first."""

    gateway: str
    software: str
    uptime_s: float
    clock_quality: str
    clock_error_ms: int | None
    memory_bytes: int
    open_files: int
    uplink: UplinkSnapshot
    outbox: OutboxStatus
    devices: tuple[DeviceSnapshot, ...]
    trouble: tuple[str, ...]
    radios: tuple[RadioSnapshot, ...] = ()
    imaging: ImagingStatus | None = None


def memory_bytes() -> int:
    """Resident set size of this process (proc(5), statm field 2)."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE


def open_files() -> int:
    """Open file descriptors of this process."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names only, no Path objects


def trouble_of(
    outbox: OutboxStatus,
    uplink: UplinkSnapshot,
    devices: tuple[DeviceSnapshot, ...],
    imaging: Sequence[str] = (),
) -> tuple[str, ...]:
    """Sentences that say what is wrong and what to do; empty when all is well."""
    found = [
        _outbox_trouble(outbox),
        f"{outbox.rejected} records were refused by the collector; see its dead letters."
        if outbox.rejected
        else None,
        "A damaged outbox was set aside and is being salvaged." if outbox.salvaging else None,
        _uplink_trouble(uplink, outbox),
        f"Images do not go up: {uplink.images}." if uplink.images else None,
        *imaging,
        *(_device_trouble(device) for device in devices),
        *(_calibration_trouble(device) for device in devices),
    ]
    return tuple(sentence for sentence in found if sentence is not None)


def _outbox_trouble(outbox: OutboxStatus) -> str | None:
    match outbox.level:
        case Level.FULL:
            return "The outbox is full: new readings are refused. Restore the uplink or free disk."
        case Level.THIN:
            return "The outbox is 95 % full: bulk data is being thinned. Restore the uplink."
        case Level.WARN:
            return "The outbox is 80 % full. Restore the uplink."
        case Level.NORMAL:
            return None


def _uplink_trouble(uplink: UplinkSnapshot, outbox: OutboxStatus) -> str | None:
    waiting = f"{outbox.records} records wait on this disk."
    if not uplink.connected:
        reason = f" ({uplink.reason})" if uplink.reason else ""
        return f"Not connected to the broker{reason}; {waiting}"
    if uplink.reason is not None:
        return f"Connected, but {uplink.reason}."
    if uplink.unacked_age_s is not None and uplink.unacked_age_s >= UNACKED_S:
        return (
            f"Connected to the broker, but no collector has answered for "
            f"{int(uplink.unacked_age_s)} s; {waiting} Does a collector run? Does it know this "
            "gateway? `wardlight-edge doctor` checks the gateway's certificate."
        )
    if uplink.withheld:
        return (
            f"{uplink.withheld} records of a replaced outbox wait for a newer collector: "
            "update the collector."
        )
    return None


def _device_trouble(device: DeviceSnapshot) -> str | None:
    if device.reason is None:
        return None
    waiting = f" ({device.waiting} readings wait)" if device.waiting else ""
    return f"{device.identity}: {device.state}: {device.reason}{waiting}"


def _calibration_trouble(device: DeviceSnapshot) -> str | None:
    if device.calibration is not Calibration.OVERDUE:
        return None
    return (
        f"{device.identity}: its calibration was due on {device.calibration_due}: have it done, "
        "then set the next day"
    )


def health_body(snapshot: Snapshot) -> StatusBody:
    """The health record: what the operator page of the cloud needs, in few bytes."""
    outbox = snapshot.outbox
    data: Mapping[str, str | int | bool | None] = {
        "software": snapshot.software,
        "uptime_s": int(snapshot.uptime_s),
        "clock": snapshot.clock_quality,
        "clock_error_ms": snapshot.clock_error_ms,
        "memory_bytes": snapshot.memory_bytes,
        "open_files": snapshot.open_files,
        "outbox_level": outbox.level.value,
        "outbox_records": outbox.records,
        "outbox_bytes": outbox.size_bytes,
        "refused": outbox.refused,
        "thinned": outbox.thinned,
        "devices": len(snapshot.devices),
        "devices_in_trouble": sum(device.reason is not None for device in snapshot.devices),
        "calibration_overdue": sum(
            device.calibration is Calibration.OVERDUE for device in snapshot.devices
        ),
        **imaging_health.health(snapshot.imaging),
    }
    return StatusBody(device=None, name="health", data=dict(data))
