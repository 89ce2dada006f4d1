"""Whether what is heard of an advertising device is believed, and what an operator is told. Pure.

Anybody in radio range can send under a device's address. So trouble is news only while nothing
genuine comes, one cause of it at a time, and few of the refused adverts are kept.
"""

from collections import deque
from typing import Final

from wardlight_edge.devices import Refusal

QUIET_MS: Final = 60_000
MOST_KEPT: Final = 4
"""Refused adverts of one device that go to quarantine in QUIET_MS."""

REASONS: Final = {
    Refusal.NO_KEY: "what it sends is encrypted: put its bind key into a file (mode 0600) and name "
    "it as bind_key_file",
    Refusal.WRONG_KEY: "what it sends does not open with its bind key: is bind_key_file that of "
    "this device?",
    Refusal.NOT_ENCRYPTED: "what comes is not encrypted, but a bind key is set: somebody imitates "
    "it, or its encryption was switched off",
    Refusal.REPLAYED: "its counter has gone back: somebody replays it, or it was restarted; then "
    "give it a new bind key, or run `wardlight-edge repair`",
}


class Trust:
    """Follows one device."""

    def __init__(self) -> None:
        self._genuine_ms: int | None = None
        self._refusal: tuple[Refusal, int] | None = None
        self._kept: deque[int] = deque(maxlen=MOST_KEPT)

    @property
    def trouble(self) -> tuple[str, str] | None:
        """State and reason while nothing can be believed."""
        if self._refusal is None:
            return None
        refusal, _ = self._refusal
        return refusal.value, REASONS[refusal]

    def genuine(self, mono_ms: int) -> None:
        """An advert was believed."""
        self._genuine_ms = mono_ms
        self._refusal = None

    def refused(self, refusal: Refusal, mono_ms: int) -> None:
        """An advert was not."""
        if self._genuine_ms is not None and mono_ms - self._genuine_ms <= QUIET_MS:
            return
        if self._refusal is None or mono_ms - self._refusal[1] > QUIET_MS:
            self._refusal = (refusal, mono_ms)

    def may_keep(self, mono_ms: int) -> bool:
        """Whether one more refused advert goes to quarantine."""
        if len(self._kept) == MOST_KEPT and mono_ms - self._kept[0] < QUIET_MS:
            return False
        self._kept.append(mono_ms)
        return True
