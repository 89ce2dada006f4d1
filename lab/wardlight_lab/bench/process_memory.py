"""Memory of another process, as the kernel counts it.

Source  proc(5): /proc/<pid>/status (VmRSS, VmHWM), /proc/<pid>/smaps_rollup
"""

from pathlib import Path
from typing import Final

_KB_A_MB: Final = 1024
_PARTS: Final = ("Rss", "Pss", "Private_Clean", "Private_Dirty", "Anonymous")


def status_mb(pid: int, name: str) -> float:
    """One line of /proc/<pid>/status, in MB of 2**20 bytes. Errors: OSError, ProcessLookupError."""
    return _lines(Path(f"/proc/{pid}/status"))[name]


def parts_mb(pid: int) -> dict[str, float]:
    """What the resident set is made of."""
    found = _lines(Path(f"/proc/{pid}/smaps_rollup"))
    return {name: round(found[name], 1) for name in _PARTS}


def _lines(file: Path) -> dict[str, float]:
    found: dict[str, float] = {}
    for line in file.read_text(encoding="ascii", errors="replace").splitlines():
        name, _, value = line.partition(":")
        words = value.split()
        if len(words) == 2 and words[1] == "kB":
            found[name] = int(words[0]) / _KB_A_MB
    if not found:
        raise ProcessLookupError(f"{file} holds nothing: the process has ended")
    return found
