"""How much of an image may be on its way: as much as keeps the link busy, and little behind it.

Vital signs share the link with images, and what is in a buffer cannot be overtaken. The time until
the broker has taken a chunk tells how long the buffers are: what is on its way grows while that is
well under a quarter of a second above the shortest seen, and shrinks above it. So images also give
way to the backlog of records, which fills its window regardless of them.

Pure; times are seconds of any monotonic clock.
Source  RFC 6817 (LEDBAT): delay above a base delay against a target, allowance in bytes
"""

from typing import Final

from wardlight_shared.blobs import GRAIN_BYTES, LARGEST_CHUNK_BYTES

TARGET_S: Final = 0.25
"""Time that images may add to the way of a record."""
_MOST_BYTES: Final = 8 * LARGEST_CHUNK_BYTES
_BASE_AGES: Final = 1.002  # a link that has become longer for good is believed after some minutes
_RATE_WEIGHT: Final = 0.25
# Until something queues for the first time it doubles in a round trip, as TCP does at its start.
_LATER_GAIN: Final = 0.25
_PARTS: Final = 2  # chunks on the way: one leaves while the next is read and sealed


class BlobPace:
    """Allowance and chunk size of one connection.

    parts  chunks that the allowance is divided into
    """

    def __init__(self, parts: int = _PARTS) -> None:
        self._parts = parts
        self._allowance = float(parts * GRAIN_BYTES)
        self._base_s = float("inf")
        self._rate: float | None = None
        self._gain = 1.0
        self._on_way = 0
        self._delivered = 0

    @property
    def rate(self) -> float | None:
        """Bytes a second that the link has taken of images; None = not known yet."""
        return self._rate

    @property
    def room_bytes(self) -> int:
        """Bytes that may be sent now; 0 = wait until something was taken."""
        room = int(self._allowance) - self._on_way
        return room if room >= self.chunk_bytes or not self._on_way else 0

    @property
    def chunk_bytes(self) -> int:
        """Size of the next chunk: at most a quarter of a second at the measured rate."""
        most = self._allowance / self._parts
        if self._rate is not None:
            most = min(most, self._rate * TARGET_S)
        whole = int(most) // GRAIN_BYTES * GRAIN_BYTES
        return min(LARGEST_CHUNK_BYTES, max(GRAIN_BYTES, whole))

    def sent(self, size_bytes: int) -> int:
        """Note a chunk; give the returned mark to ``taken``."""
        self._on_way += size_bytes
        return self._delivered

    def taken(self, size_bytes: int, took_s: float, mark: int) -> None:
        """The broker has taken a chunk."""
        took_s = max(took_s, 1e-6)
        self._on_way -= size_bytes
        self._delivered += size_bytes
        self._note_rate((self._delivered - mark) / took_s)
        self._base_s = min(self._base_s * _BASE_AGES, took_s)
        off_target = (TARGET_S - (took_s - self._base_s)) / TARGET_S
        if off_target < 0:
            self._gain = _LATER_GAIN
        self._allowance += max(-0.5, min(off_target, off_target * self._gain)) * size_bytes
        least = float(GRAIN_BYTES)
        self._allowance = min(float(_MOST_BYTES), max(least, self._allowance))

    def _note_rate(self, sample: float) -> None:
        before = self._rate
        self._rate = sample if before is None else before + _RATE_WEIGHT * (sample - before)
