"""What is said of one device beside its readings: on the board, and in status records."""

from wardlight_edge.devices import device_information
from wardlight_edge.outbox.base import NewRecord
from wardlight_edge.sessions.board import DeviceEntry
from wardlight_edge.sessions.gate import Identity
from wardlight_edge.sessions.gateway import Gateway
from wardlight_edge.sessions.inbox import Lost
from wardlight_edge.sessions.records import Data, gap_record
from wardlight_edge.sessions.statuses import Statuses
from wardlight_edge.sessions.times import Receipt, skew_s
from wardlight_edge.sessions.told import Told
from wardlight_shared.model import DeviceInfo


class Report:
    """Keeps the entry of a device up to date and makes the records of what changed."""

    def __init__(self, identity: str, gateway: Gateway, entry: DeviceEntry) -> None:
        self._identity = identity
        self._gateway = gateway
        self._entry = entry
        self._statuses = Statuses(identity)
        self.memory_trouble: str | None = None
        """Why the device has not given all it keeps; None = it has, or keeps nothing."""

    def lost(self, lost: Lost) -> list[NewRecord]:
        """What found no room, as a named gap."""
        self._entry.count("lost", lost.count)
        clock = self._gateway.clock
        wall_ms = clock.wall_ms() - clock.mono_ms() + lost.until_ms
        since_ms, until_ms = lost.since_ms, lost.until_ms
        return [gap_record(self._identity, lost.cause, lost.count, since_ms, until_ms, wall_ms)]

    def rejected(self, octets: bytes, reason: str, mono_ms: int) -> list[NewRecord]:
        """A value that was not taken: to quarantine."""
        self._entry.count("decode_errors")
        self._entry.last_error = reason
        name = self._gateway.quarantine.put(self._identity, octets, reason, mono_ms)
        data: Data = {
            "count": self._entry.status().counts.decode_errors,
            "octets": len(octets),
            "hash": name,
            "reason": reason[:256],
        }
        return self._statuses.quarantine(data, mono_ms, self._gateway.clock.wall_ms())

    def damaged(self, frames: int) -> None:
        """Frames that were not whole."""
        self._entry.count("decode_errors", frames)

    def told(self, told: Told, receipt: Receipt) -> list[NewRecord]:
        """What it has just said of itself; ``info`` becomes a record when all of it is read."""
        records: list[NewRecord] = []
        if told.clock is not None:
            self._entry.clock_skew_s = skew_s(told.clock, receipt)
            records += self._statuses.clock(self._entry.clock_skew_s, *self._now())
        if told.battery_percent is not None:
            self._entry.battery_percent = told.battery_percent
            data: Data = {"percent": told.battery_percent}
            records += self._statuses.changed("battery", data, *self._now())
        if told.info is not None:
            self._entry.info = device_information.merge(self._entry.info, told.info)
        return records

    def info(self) -> list[NewRecord]:
        """All that it has said of itself on this link."""
        if self._entry.info == DeviceInfo():
            return []
        return self._statuses.info(self._entry.info, *self._now())

    def identity(self, identity: Identity) -> list[NewRecord]:
        """By what it is known, where the settings ask for more than its address."""
        return self._statuses.identity(identity, *self._now())

    def memory(self, trouble: str | None) -> list[NewRecord]:
        """Whether the device has given the records it keeps; None = all of them."""
        self.memory_trouble = trouble
        data: Data = {"state": "ok" if trouble is None else "incomplete", "reason": trouble}
        return self._statuses.changed("memory", data, *self._now())

    def link(self, state: str, reason: str | None, *, is_stream: bool) -> list[NewRecord]:
        """Put the state on the board, and a change into a record."""
        mono_ms, wall_ms = self._now()
        self._entry.set_state(state, reason, wall_ms)
        return self._statuses.link(state, reason, is_stream, mono_ms, wall_ms)

    def _now(self) -> tuple[int, int]:
        clock = self._gateway.clock
        return clock.mono_ms(), clock.wall_ms()
