"""Which streams were running, so that a killed gateway can name what it lost.

A stream's samples are accepted when their block is in the outbox; until then up to a minute of
them lives in memory. This small file says of each running stream when its last block was accepted.
It is written without fsync: after a power cut it may be a little older than the truth, which
makes the named loss longer, never shorter.
"""

import logging
import os
from collections.abc import Callable
from pathlib import Path

import msgspec

REFRESH_MS = 10_000
_logger = logging.getLogger(__name__)


class Accepted(msgspec.Struct, frozen=True):
    """When the last accepted sample of a stream was received."""

    boot: str
    mono_ms: int
    wall_ms: int


class OpenStreams:
    """The file; one instance for all devices."""

    def __init__(self, file: Path, boot_id: Callable[[], str]) -> None:
        self._file = file
        self._boot = boot_id()
        self._open = _read(file)
        self._written: dict[str, int] = {}

    def lost_since_ms(self, device: str, mono_ms: int, wall_ms: int) -> int | None:
        """When the last accepted sample of a stream came, on today's monotonic clock.

        None = it was never running. Over a reboot the wall clock bridges the two boots.
        """
        last = self._open.get(device)
        if last is None:
            return None
        if last.boot == self._boot:
            return min(last.mono_ms, mono_ms)
        return mono_ms - max(wall_ms - last.wall_ms, 0)

    def accepted(self, device: str, mono_ms: int, wall_ms: int) -> None:
        """A block whose last sample came at this moment is in the outbox."""
        self._open[device] = Accepted(self._boot, mono_ms, wall_ms)
        if mono_ms - self._written.get(device, mono_ms - REFRESH_MS) >= REFRESH_MS:
            self._written[device] = mono_ms
            self._write()

    def close(self) -> None:
        """Write the newest state: the gateway stops, and what comes until it is back is lost."""
        if self._written:
            self._write()

    def _write(self) -> None:
        fresh = self._file.with_suffix(".new")
        try:
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(msgspec.json.encode(self._open))
            fresh.replace(self._file)
        except OSError as error:
            _logger.warning("open streams not written", extra={"error": str(error.strerror)})


def _read(file: Path) -> dict[str, Accepted]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, Accepted])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        # Losing this file costs the name of a gap, so it must not cost the start of the gateway.
        _logger.warning("open streams not read", extra={"error": type(error).__name__})
        return {}
