"""What the system knows of processes we did not start, or started and lost.

A zombie counts as dead: in a container without an init nobody collects it, and `kill(pid, 0)`
succeeds on it for ever (this is what keeps `pg_ctl start` from starting after a kill -9).
Source: proc(5), pidfd_open(2).
"""

import asyncio
import os
from pathlib import Path

_PROC = Path("/proc")
_POLL_S = 0.05


def can_see_processes() -> bool:
    """Whether this system tells about processes that are not our children (Linux does)."""
    return (_PROC / "self" / "stat").is_file()


def is_running(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        stat = (_PROC / str(pid) / "stat").read_bytes()
    except OSError:
        return not can_see_processes() and _answers_signal(pid)
    return stat.rpartition(b")")[2].split()[0] not in {b"Z", b"X"}


def _answers_signal(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def command_line(pid: int) -> list[str]:
    """The arguments of a process; empty when it is gone or hides them."""
    try:
        raw = (_PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return []
    return [part.decode(errors="replace") for part in raw.split(b"\0") if part]


def servers_working_in(folder: Path) -> list[int]:
    """Living `postgres` processes, of whatever parent, whose working directory is `folder`."""
    try:
        wanted = folder.stat()
    except OSError:
        return []
    identity = (wanted.st_dev, wanted.st_ino)
    return [
        pid for pid in _pids() if is_running(pid) and _is_postgres(pid) and _cwd(pid) == identity
    ]


def _pids() -> list[int]:
    if not can_see_processes():
        return []
    return [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdecimal()]


def _is_postgres(pid: int) -> bool:
    try:
        program = (_PROC / str(pid) / "exe").readlink().name
    except OSError:
        return False
    return program.removesuffix(" (deleted)") in {"postgres", "postmaster"}


def _cwd(pid: int) -> tuple[int, int] | None:
    try:
        stat = (_PROC / str(pid) / "cwd").stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


async def exited(pid: int) -> None:
    """Return once the process `pid`, which need not be ours, has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    except (AttributeError, OSError):  # a kernel before 5.3, or not Linux
        while is_running(pid):  # noqa: ASYNC110 - nothing here announces the end of a process
            await asyncio.sleep(_POLL_S)
        return
    try:
        await _readable(descriptor)
    finally:
        os.close(descriptor)


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    seen = asyncio.Event()
    loop.add_reader(descriptor, seen.set)
    try:
        await seen.wait()
    finally:
        loop.remove_reader(descriptor)
