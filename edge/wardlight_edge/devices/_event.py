"""The event id: how a device event is known again when its device sends it twice."""

from hashlib import blake2b
from typing import Final

from wardlight_shared.model import Flag, Reading
from wardlight_shared.timestamps import device_seconds

_SIZE: Final = 16
_CLOCK_UNSET: Final = int(Flag.DEVICE_CLOCK_UNSET)


def event_id(identity: str, readings: tuple[Reading, ...], raw: bytes) -> bytes | None:
    """Return 16 bytes that name this event of this device, None when nothing can name it.

    Hashed are the device's identity, its record number and device time as far as it sent them,
    and ``raw``, the value as received. A clock that is not set names nothing: two true
    measurements after two resets would share time and bytes, and one of them would be lost.
    """
    parts = _record(readings) + _time(readings)
    if not parts:
        return None
    digest = blake2b(digest_size=_SIZE, person=b"wardlight-event")
    for part in (identity.encode(), parts, raw):
        digest.update(len(part).to_bytes(4, "big"))
        digest.update(part)
    return digest.digest()


def _record(readings: tuple[Reading, ...]) -> bytes:
    numbers = [reading.record for reading in readings if reading.record is not None]
    return f"record {numbers[0]};".encode() if numbers else b""


def _time(readings: tuple[Reading, ...]) -> bytes:
    for reading in readings:
        if reading.time is None or reading.flags & _CLOCK_UNSET:
            continue
        seconds = device_seconds(reading.time)
        if seconds is not None:
            return f"time {seconds};".encode()
    return b""
