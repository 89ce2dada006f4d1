"""Status changes of one device as records: each name only when what it says has changed."""

from wardlight_edge.devices import Refusal
from wardlight_edge.outbox.base import NewRecord
from wardlight_edge.sessions.gate import Identity
from wardlight_edge.sessions.records import Data, status_record
from wardlight_edge.transports.base import TROUBLE, LinkState
from wardlight_shared.model import DeviceInfo

SKEW_STEP_S = 2  # a crystal's drift between two links is no news
QUARANTINE_MS = 60_000


class Statuses:
    """Remembers what was said last; ``changed`` gives a record or nothing."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._said: dict[str, Data] = {}
        self._quarantine_ms: int | None = None

    def changed(self, name: str, data: Data, mono_ms: int, wall_ms: int) -> list[NewRecord]:
        """A record when ``data`` differs from what was said of ``name`` before."""
        if self._said.get(name) == data:
            return []
        self._said[name] = data
        return [status_record(self._device, name, data, mono_ms, wall_ms)]

    def link(
        self, state: str, reason: str | None, is_stream: bool, mono_ms: int, wall_ms: int
    ) -> list[NewRecord]:
        """A cuff that comes and goes is "ok": only trouble and its end are news of it.

        Of a stream it is news too whether it is connected.
        """
        if state in _PASSING:
            was_bad = self._said.get("link", {}).get("state") in _BAD
            if not was_bad or state == LinkState.CONNECTING:
                return []
            state, reason = "ok", None
        elif not is_stream and state not in _BAD:
            state, reason = "ok", None
        return self.changed("link", {"state": state, "reason": reason}, mono_ms, wall_ms)

    def info(self, info: DeviceInfo, mono_ms: int, wall_ms: int) -> list[NewRecord]:
        """What the device says of itself."""
        data = {name: getattr(info, name) for name in DeviceInfo.__struct_fields__}
        stated = {name: value[:256] for name, value in data.items() if value is not None}
        return self.changed("info", stated, mono_ms, wall_ms)

    def identity(self, identity: Identity, mono_ms: int, wall_ms: int) -> list[NewRecord]:
        """By what a device is known that the settings bind to a serial number."""
        data = {"known_by": _KNOWN_BY[identity]}
        return self.changed("identity", data, mono_ms, wall_ms)

    def clock(self, skew_s: int, mono_ms: int, wall_ms: int) -> list[NewRecord]:
        """How far the device's clock is from the gateway's local time."""
        before = self._said.get("clock", {}).get("skew_s")
        if isinstance(before, int) and abs(before - skew_s) < SKEW_STEP_S:
            return []
        return self.changed("clock", {"skew_s": skew_s}, mono_ms, wall_ms)

    def quarantine(self, data: Data, mono_ms: int, wall_ms: int) -> list[NewRecord]:
        """Values nobody could decode: the first at once, then at most one report a minute."""
        before = self._quarantine_ms
        if before is not None and mono_ms - before < QUARANTINE_MS:
            return []
        self._quarantine_ms = mono_ms
        return self.changed("quarantine", data, mono_ms, wall_ms)


_KNOWN_BY = {
    Identity.ENROLLED: "serial-number",
    Identity.BY_ADDRESS: "address",
    Identity.OTHER: None,
    Identity.UNKNOWN: None,
}
_PASSING = frozenset({LinkState.WAITING, LinkState.CONNECTING})
_BAD = TROUBLE | set(Refusal) | {"wrong-device", "unverified", "failed"}
