"""Ends a supervisor's children when the supervisor is gone, even after kill -9.

The kernel signals the children themselves at that moment (see the tether); this process is for
what that does not reach: grandchildren, and children that ignore the signal. It holds the data
folder's lock until all are gone, so that the next supervisor does not meet them.

Reads lines from its standard input, whose other end only the supervisor holds:
    +PID SIGNAL     a process group to end, and with which signal first
    -PID            it has ended
End of input means the supervisor is gone. Run by path with `python -I -S`; imports nothing of ours.
usage: warden.py GRACE_SECONDS
"""

import os
import signal
import sys
import time
from collections.abc import Iterable

_POLL_S = 0.05


def main(grace_s: float) -> None:
    """Listen, then end what is left."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)  # the supervisor decides, not the terminal
    left = _listen()
    for group, number in left.items():
        _signal_group(group, number)
    _wait_for_end(left, grace_s)
    for group in left:
        _signal_group(group, signal.SIGKILL)
    _wait_for_end(left, grace_s)


def _listen() -> dict[int, int]:
    groups: dict[int, int] = {}
    for line in sys.stdin:
        words = line[1:].split()
        if line.startswith("+") and len(words) == 2:
            groups[int(words[0])] = int(words[1])
        elif line.startswith("-") and words:
            groups.pop(int(words[0]), None)
    return groups


def _signal_group(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return


def _wait_for_end(groups: Iterable[int], patience_s: float) -> None:
    deadline = time.monotonic() + patience_s
    while _living_groups() & set(groups) and time.monotonic() < deadline:
        time.sleep(_POLL_S)


def _living_groups() -> set[int]:
    """The groups that hold more than zombies, which in a container nobody may collect."""
    groups = set()
    for entry in filter(str.isdecimal, os.listdir("/proc")):  # noqa: PTH208 - pathlib starts slowly
        try:
            with open(f"/proc/{entry}/stat", "rb") as file:  # noqa: PTH123 - as above
                state, _, group = file.read().rpartition(b")")[2].split()[:3]
        except OSError:
            continue
        if state not in {b"Z", b"X"}:
            groups.add(int(group))
    return groups


if __name__ == "__main__":
    main(float(sys.argv[1]))
