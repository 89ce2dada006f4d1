"""Readings whose device is in doubt: they wait here, bounded, and on the disk.

A cuff counts a reading as sent once bluetoothd has confirmed it, and forgets it; the answer to who
it was may come with its next measurement, tomorrow. So what waits longer than a link is written to
its sealed file (sealed_files.py), and found again after a restart. The file is removed after its
readings are in the outbox; a kill between the two brings them a second time, with the same event
ids.

Errors  none: a disk in trouble is logged, and what waits then waits in memory alone; a file that
        cannot be opened is set aside as ``.damaged`` and told by ``is_damaged``
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from wardlight_edge.clock import Clock
from wardlight_edge.sessions.device_clock import LinkClock
from wardlight_edge.sessions.sealed_files import SealedFiles
from wardlight_edge.transports.base import Octets

CAPACITY: Final = 256


class Waiting(msgspec.Struct, frozen=True, array_like=True):
    """One value.

    clock  what its link knew of the device's clock; None = that link still stands
    boot   the boot whose monotonic clock the moments are of
    """

    channel: str
    octets: bytes
    mono_ms: int
    wall_ms: int
    boot: str
    clock: LinkClock | None = None

    @property
    def token(self) -> bytes:
        """Names this arrival among all of its device."""
        return f"{self.boot} {self.mono_ms}".encode()

    def arrival(self, now: Clock) -> Octets:
        """The value as if this boot had received it: an earlier boot makes it old instead."""
        if self.boot == now.boot_id():
            return Octets(self.channel, self.octets, self.mono_ms, self.wall_ms)
        mono_ms, wall_ms = now.mono_ms(), now.wall_ms()
        age_ms = max(wall_ms - self.wall_ms, 0)
        return Octets(self.channel, self.octets, mono_ms, wall_ms, age_ms=age_ms)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Waiting]).decode


class Vault:
    """Where the rooms of all devices keep what must outlive the process.

    seal, unseal  the gateway's cipher; ``unseal`` raises StorageError
    """

    def __init__(
        self, folder: Path, seal: Callable[[bytes], bytes], unseal: Callable[[bytes], bytes]
    ) -> None:
        self._files = SealedFiles(
            folder,
            seal,
            unseal,
            encode=_encode,
            decode=_decode,
            holds=("waiting readings", "they are given up"),
        )

    def read(self, device: str) -> list[Waiting] | None:
        """What waited for this device when it was written last; None = that cannot be read."""
        waiting = self._files.read(device, absent=[])
        if waiting is None:
            self._files.set_aside(device)
        return waiting

    def write(self, device: str, waiting: list[Waiting]) -> bool:
        """Replace what waits for this device, durably; False = the disk is in trouble."""
        return self._files.keep(device, waiting) if waiting else self._files.forget(device)


class WaitingRoom:
    """What waits for one device, in order of arrival.

    vault  None = in memory alone (a stream, whose open samples a restart loses anyway)
    """

    def __init__(self, device: str, clock: Clock, vault: Vault | None) -> None:
        self._device = device
        self._clock = clock
        self._vault = vault
        found = [] if vault is None else vault.read(device)
        self.is_damaged = found is None
        """Whether something waited that cannot be read any more."""
        self._waiting = found or []
        self._is_written = True
        self._is_on_disk = bool(self._waiting)

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def is_saved(self) -> bool:
        """Whether ``save`` has nothing to do."""
        return self._is_written if self._vault is not None else not self._waiting

    def put(self, arrival: Octets) -> bool:
        """Let a value wait; False: there is no room."""
        if len(self._waiting) >= CAPACITY:
            return False
        boot = self._clock.boot_id()
        self._waiting.append(
            Waiting(arrival.channel, arrival.octets, arrival.mono_ms, arrival.wall_ms, boot)
        )
        self._is_written = False
        return True

    def link_down(self, clock: LinkClock) -> None:
        """The link is over: what came over it is dated by what was known of its clock."""
        for place, each in enumerate(self._waiting):
            if each.clock is None:
                self._waiting[place] = msgspec.structs.replace(each, clock=clock)
                self._is_written = False

    def take(self) -> list[Waiting]:
        """Everything that waits; ``save`` makes the disk forget it."""
        taken, self._waiting = self._waiting, []
        self._is_written = not self._is_on_disk
        return taken

    def save(self) -> bool:
        """Bring the disk up to date; blocks for a flush. False: what waits is in memory alone."""
        if self._vault is not None and not self._is_written:
            self._is_written = self._vault.write(self._device, self._waiting)
            self._is_on_disk = bool(self._waiting) or not self._is_written
        return self.is_saved
