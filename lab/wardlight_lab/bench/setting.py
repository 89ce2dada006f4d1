"""What every measurement gets: a folder on a real disk, the size of the run, a way to say more."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from wardlight_shared.errors import ConfigError, WardlightError

CHECKOUT: Final = Path(__file__).parents[3]
_IN_MEMORY: Final = frozenset({"tmpfs", "ramfs", "devtmpfs"})


class UnfitMachine(ConfigError):
    """A measurement cannot be made here; the text says what to install or change."""


class Unsound(WardlightError):
    """A measurement contradicts itself (rows are missing, a server is not durable): no figure."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One run of the bench.

    folder    scratch space on the disk that is measured; the caller removes it
    is_short  sizes that only prove that the measurement runs
    """

    folder: Path
    is_short: bool = False

    def size(self, full: int, short: int) -> int:
        """A size of this run."""
        return short if self.is_short else full

    def within(self, name: str) -> "Setting":
        """The same with a new folder below."""
        folder = self.folder / name
        folder.mkdir(parents=True, mode=0o700)
        return replace(self, folder=folder)

    def say(self, text: str) -> None:
        """Tell the person who waits, on stderr."""
        sys.stderr.write(f"  .. {text}\n")
        sys.stderr.flush()


def file_system(folder: Path) -> str:
    """Type and device of the file system of a folder, from /proc/self/mounts."""
    best, found = "", "unknown"
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
        device, point, kind = line.split()[:3]
        at = point.replace("\\040", " ")
        if folder.is_relative_to(at) and len(at) >= len(best):
            best, found = at, f"{kind} on {device}"
    return found


def check_disk(folder: Path) -> None:
    """Raise UnfitMachine for a folder in memory, where a flush would cost nothing."""
    kind = file_system(folder).partition(" ")[0]
    if kind in _IN_MEMORY:
        raise UnfitMachine(f"{folder} lies in memory ({kind}); durable figures need a disk")
