"""Which streams were running, so that a killed gateway can name what it lost.

A stream's samples are accepted when their block is in the outbox; until then up to a minute of
them lives in memory. This small file says of each stream up to which moment it is accounted for:
stored, or named as lost. It is written each time that moment moves, so a gap that is named after a
kill begins at the last stored sample.

Out     one JSON array a line, padded to SLOT_BYTES: [device, boot, mono_ms, wall_ms]
        Each device keeps its line, so that one write inside one page replaces it: a kill leaves
        the old line or the new one. There is no fsync: after a power cut the file may be older than
        the truth, and a kill in the moment between COMMIT and this write leaves it one block
        behind. Both make the named loss longer, never shorter.
"""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

SLOT_BYTES: Final = 256  # an identity has at most 71 characters, a boot id 36
_logger = logging.getLogger(__name__)


class Accounted(msgspec.Struct, frozen=True, array_like=True):
    """Up to this moment nothing of a stream is lost without a name."""

    device: str
    boot: str
    mono_ms: int
    wall_ms: int


class OpenStreams:
    """The file; one instance for all devices."""

    def __init__(self, file: Path, boot_id: Callable[[], str]) -> None:
        self._file = file
        self._boot = boot_id()
        found = _read(file)
        self._slots = {each.device: slot for slot, each in found.items()}
        self._streams = {each.device: each for each in found.values()}
        self._free = max(found, default=-1) + 1

    def lost_since_ms(self, device: str, mono_ms: int, wall_ms: int) -> int | None:
        """Up to when a stream is accounted for, on today's monotonic clock.

        None = it was never running. Over a reboot the wall clock bridges the two boots.
        """
        last = self._streams.get(device)
        if last is None:
            return None
        if last.boot == self._boot:
            return min(last.mono_ms, mono_ms)
        return mono_ms - max(wall_ms - last.wall_ms, 0)

    def account(self, device: str, mono_ms: int, wall_ms: int) -> None:
        """Everything up to this moment is in the outbox: as samples, or as a gap.

        Also called with the first sample of a stream that never ran before: from here on there is
        something to lose.
        """
        accounted = Accounted(device, self._boot, mono_ms, wall_ms)
        self._streams[device] = accounted
        slot = self._slots.get(device)
        if slot is None:
            slot = self._slots[device] = self._free
            self._free += 1
        self._write(slot, accounted)

    def forget(self, device: str) -> None:
        """The device was removed: what comes when it is enrolled again begins anew."""
        if self._streams.pop(device, None) is not None:
            # The line stays, with no name in it: a line is written, never taken out.
            self._write(self._slots.pop(device), Accounted("", self._boot, 0, 0))

    def close(self) -> None:
        """Bring the file to the disk; what comes until the gateway is back will be a gap."""
        if self._streams:
            try:
                self._with_file(os.fsync)
            except OSError as error:
                _logger.warning("open streams not synced", extra={"error": str(error.strerror)})

    def _write(self, slot: int, accounted: Accounted) -> None:
        line = msgspec.json.encode(accounted).ljust(SLOT_BYTES - 1) + b"\n"
        try:
            self._with_file(lambda file: os.pwrite(file, line, slot * SLOT_BYTES))
        except OSError as error:
            # The gap of the next start will begin too early, which is allowed.
            _logger.warning("open streams not written", extra={"error": str(error.strerror)})

    def _with_file(self, do: Callable[[int], object]) -> None:
        descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            do(descriptor)
        finally:
            os.close(descriptor)


def _read(file: Path) -> dict[int, Accounted]:
    """The lines that can be read, by slot."""
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        _logger.warning("open streams not read", extra={"error": str(error.strerror)})
        return {}
    found: dict[int, Accounted] = {}
    for at in range(0, len(content), SLOT_BYTES):
        try:
            line = msgspec.json.decode(content[at : at + SLOT_BYTES], type=Accounted)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            # Losing a line costs the name of a gap, so it must not cost the start of the gateway.
            _logger.warning("open stream not read", extra={"error": type(error).__name__})
        else:
            found[at // SLOT_BYTES] = line
    return found
