"""Gathers the Snapshot of the running gateway from its parts."""

from collections.abc import Callable
from datetime import date, timedelta, timezone

import msgspec

from wardlight_edge import imaging_status
from wardlight_edge.clock import Clock
from wardlight_edge.config import Settings
from wardlight_edge.enrolment.calibration import calibration_of
from wardlight_edge.health import (
    DeviceSnapshot,
    RadioSnapshot,
    Snapshot,
    UplinkSnapshot,
    memory_bytes,
    open_files,
    trouble_of,
)
from wardlight_edge.imaging_health import trouble
from wardlight_edge.outbox.base import Outbox
from wardlight_edge.sessions.board import DeviceBoard, DeviceStatus
from wardlight_edge.sessions.device_clock import is_after_release
from wardlight_edge.transports.base import RadioState
from wardlight_edge.uplink.uplink import Uplink
from wardlight_shared import __version__
from wardlight_shared.timestamps import ClockQuality, datetime_from_utc_ms, resolve


class Enrolled(msgspec.Struct, frozen=True):
    """What the register and the radio know of a device; the fields of DeviceSnapshot."""

    origin: str = "settings file"
    bond: str | None = None
    knows_serial: bool | None = None


class SnapshotSource:
    """``snapshot()`` at any moment; cheap, never blocks.

    enrolled  what is known of a device beside its session
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        outbox: Outbox,
        uplink: Uplink,
        board: DeviceBoard,
        enrolled: Callable[[str], Enrolled] = lambda _: Enrolled(),
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._outbox = outbox
        self._uplink = uplink
        self._board = board
        self._enrolled = enrolled
        self._started_ms = clock.mono_ms()

    def snapshot(self) -> Snapshot:
        """The whole gateway now."""
        now_ms = self._clock.mono_ms()
        outbox = self._outbox.status()
        uplink = self._uplink_snapshot(now_ms)
        today = self._today()
        devices = tuple(
            _device(device, self._enrolled(device.identity), now_ms, today)
            for device in self._board.devices()
        )
        imaging = imaging_status.read(self._settings.data_dir)
        imaging_trouble = [] if imaging is None else trouble(imaging, self._clock.wall_ms())
        now = resolve(self._outbox.boot, now_ms, self._outbox.anchors())
        return Snapshot(
            gateway=self._settings.gateway,
            software=__version__,
            uptime_s=(now_ms - self._started_ms) / 1000,
            clock_quality=(now.quality if now else ClockQuality.UNKNOWN).name.lower(),
            clock_error_ms=now.error_ms if now else None,
            memory_bytes=memory_bytes(),
            open_files=open_files(),
            uplink=uplink,
            outbox=outbox,
            devices=devices,
            trouble=trouble_of(outbox, uplink, devices, imaging_trouble),
            radios=tuple(_radio(radio, now_ms) for radio in self._board.radios()),
            imaging=imaging,
        )

    def _today(self) -> date | None:
        """The day here; None while the clock cannot be right."""
        if not is_after_release(self._clock):
            return None
        zone = timezone(timedelta(minutes=self._clock.offset_min()))
        return datetime_from_utc_ms(self._clock.wall_ms()).astimezone(zone).date()

    def _uplink_snapshot(self, now_ms: int) -> UplinkSnapshot:
        status = self._uplink.status()
        return UplinkSnapshot(
            connected=status.connected,
            state_age_s=_age_s(status.since_mono_ms, now_ms),
            last_ack_age_s=_age_s(status.last_ack_mono_ms, now_ms),
            round_trip_ms=status.round_trip_ms,
            in_flight_batches=status.in_flight,
            reason=status.reason,
            unacked_age_s=_age_s(status.unacked_mono_ms, now_ms),
            withheld=status.withheld,
            images=status.images.reason,
        )


def _age_s(mono_ms: int | None, now_ms: int) -> float | None:
    return None if mono_ms is None else (now_ms - mono_ms) / 1000


def _radio(state: RadioState, now_ms: int) -> RadioSnapshot:
    heard_age_s = _age_s(state.last_advertisement_mono_ms, now_ms)
    links = state.links if state.makes_links else None
    return RadioSnapshot(state.adapter, state.reason, links, heard_age_s)


def _device(
    status: DeviceStatus, enrolled: Enrolled, now_ms: int, today: date | None
) -> DeviceSnapshot:
    return DeviceSnapshot(
        identity=status.identity,
        profile=status.profile,
        state=status.state,
        reason=status.reason,
        last_data_age_s=_age_s(status.last_data_mono_ms, now_ms),
        battery_percent=status.battery_percent,
        readings=status.counts.readings,
        decode_errors=status.counts.decode_errors,
        lost=status.counts.lost,
        waiting=status.waiting,
        origin=enrolled.origin,
        heard_age_s=_age_s(status.heard_mono_ms, now_ms),
        signal_dbm=status.signal_dbm,
        bond=enrolled.bond,
        knows_serial=enrolled.knows_serial,
        calibration_due=status.calibration_due,
        calibration=calibration_of(status.calibration_due, today),
    )
