"""A clock that tests move by hand."""


class ManualClock:
    """Implements ``wardlight_edge.clock.Clock``; both clocks move together."""

    def __init__(self, mono_ms: int = 10_000_000, wall_ms: int = 1_780_000_000_000) -> None:
        self._mono_ms = mono_ms
        self._wall_ms = wall_ms
        self._boot_id = "boot-1"

    def mono_ms(self) -> int:
        return self._mono_ms

    def wall_ms(self) -> int:
        return self._wall_ms

    def offset_min(self) -> int:
        return 120

    def boot_id(self) -> str:
        return self._boot_id

    def advance(self, milliseconds: int) -> None:
        self._mono_ms += milliseconds
        self._wall_ms += milliseconds

    def set_wall(self, wall_ms: int) -> None:
        """Somebody, or NTP, sets the wall clock."""
        self._wall_ms = wall_ms

    def reboot(self, boot_id: str, mono_ms: int = 5_000) -> None:
        self._boot_id = boot_id
        self._mono_ms = mono_ms
