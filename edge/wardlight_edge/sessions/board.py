"""What is known of every device and adapter now, for the status page, the CLI and health.

Counts, states and ids; no measured value. One DeviceEntry per device is written by its session and
its transport; readers get frozen DeviceStatus values.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date

import msgspec

from wardlight_edge.transports.base import RadioState
from wardlight_shared.model import DeviceInfo


class Counts(msgspec.Struct, frozen=True):
    """Totals since this process started.

    readings       numbers accepted (in the outbox), missing ones too
    records        records accepted
    decode_errors  values in quarantine and damaged frames
    lost           arrivals that found no room; each is in a gap record
    refused        appends the outbox refused
    links          links that came up
    link_losses    links of a stream that went down
    ignored        kinds of numbers in messages that this gateway has no metric for
    restarts       times the device's task ended by a fault and was started again
    """

    readings: int = 0
    records: int = 0
    decode_errors: int = 0
    lost: int = 0
    refused: int = 0
    links: int = 0
    link_losses: int = 0
    ignored: int = 0
    restarts: int = 0


class DeviceStatus(msgspec.Struct, frozen=True):
    """One device.

    state         a word of docs/operations.md: a LinkState, or silent, unverified, wrong-device,
                  outbox-full, storage-error, not-running, failed
    heard_mono_ms when it last gave a sign of life, also without data
    signal_dbm    how well a radio heard it then
    reason        a sentence for a person when something is wrong, else None
    waiting       readings that wait for what dates or identifies them
    last_error    the newest trouble, also when it is over
    """

    identity: str
    profile: str
    state: str
    since_wall_ms: int
    reason: str | None
    last_data_mono_ms: int | None
    last_data_wall_ms: int | None
    battery_percent: int | None
    info: DeviceInfo
    clock_skew_s: int | None
    counts: Counts
    last_error: str | None
    waiting: int = 0
    heard_mono_ms: int | None = None
    signal_dbm: int | None = None
    calibration_due: date | None = None


@dataclass
class DeviceEntry:
    """The writable side of one device's status."""

    identity: str
    profile: str
    state: str = "starting"
    since_wall_ms: int = 0
    reason: str | None = None
    last_data: tuple[int, int] | None = None
    battery_percent: int | None = None
    info: DeviceInfo = field(default_factory=DeviceInfo)
    clock_skew_s: int | None = None
    last_error: str | None = None
    waiting: int = 0
    calibration_due: date | None = None
    counts: dict[str, int] = field(default_factory=dict)

    def set_state(self, state: str, reason: str | None, wall_ms: int) -> bool:
        """Note a state; True when it is a change."""
        if (self.state, self.reason) == (state, reason):
            return False
        if state != self.state:
            self.since_wall_ms = wall_ms
        self.state, self.reason = state, reason
        self.last_error = reason or self.last_error
        return True

    def count(self, name: str, more: int = 1) -> None:
        """Add to a total; ``name`` is a field of Counts."""
        self.counts[name] = self.counts.get(name, 0) + more

    def saw_data(self, mono_ms: int, wall_ms: int) -> None:
        """Note that something valid arrived."""
        self.last_data = (mono_ms, wall_ms)

    def status(
        self, heard_mono_ms: int | None = None, signal_dbm: int | None = None
    ) -> DeviceStatus:
        """A frozen copy; when and how well a radio heard the device last is given."""
        mono_ms, wall_ms = self.last_data or (None, None)
        signs = [each for each in (mono_ms, heard_mono_ms) if each is not None]
        return DeviceStatus(
            identity=self.identity,
            profile=self.profile,
            state=self.state,
            since_wall_ms=self.since_wall_ms,
            reason=self.reason,
            last_data_mono_ms=mono_ms,
            last_data_wall_ms=wall_ms,
            battery_percent=self.battery_percent,
            info=self.info,
            clock_skew_s=self.clock_skew_s,
            counts=Counts(**self.counts),
            last_error=self.last_error,
            waiting=self.waiting,
            heard_mono_ms=max(signs, default=None),
            signal_dbm=signal_dbm,
            calibration_due=self.calibration_due,
        )


class DeviceBoard:
    """All devices and adapters, in the order of the settings."""

    def __init__(self, devices: Sequence[tuple[str, str]]) -> None:
        self._entries = {identity: DeviceEntry(identity, profile) for identity, profile in devices}
        self._radio_states: Callable[[], tuple[RadioState, ...]] = tuple
        self._heard: Callable[[str], int | None] = lambda _: None
        self._signal: Callable[[str], int | None] = lambda _: None

    def entry(self, identity: str) -> DeviceEntry:
        """The writable entry of a device. KeyError: not in the settings."""
        return self._entries[identity]

    def add(self, identity: str, profile: str) -> DeviceEntry:
        """A further device; its entry."""
        return self._entries.setdefault(identity, DeviceEntry(identity, profile))

    def remove(self, identity: str) -> None:
        """A device is no more."""
        self._entries.pop(identity, None)

    def __contains__(self, identity: str) -> bool:
        return identity in self._entries

    def watch_radios(
        self,
        states: Callable[[], tuple[RadioState, ...]],
        heard: Callable[[str], int | None] = lambda _: None,
        signal: Callable[[str], int | None] = lambda _: None,
    ) -> None:
        """Where the adapters' states come from; called once, when Bluetooth is used.

        ``heard`` says when a device was heard last, in monotonic ms; ``signal`` how well, in dBm.
        """
        self._radio_states = states
        self._heard = heard
        self._signal = signal

    def devices(self) -> tuple[DeviceStatus, ...]:
        """Every device now."""
        return tuple(
            entry.status(self._heard(name), self._signal(name))
            for name, entry in self._entries.items()
        )

    def radios(self) -> tuple[RadioState, ...]:
        """Every adapter now; () without Bluetooth devices."""
        return self._radio_states()
