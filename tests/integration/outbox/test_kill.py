"""kill -9 at any moment: every record whose `append` returned is there afterwards."""

import os
import random
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.manual_clock import ManualClock
from support.outbox_records import number_of, sqlite_outbox
from support.peers import missing
from wardlight_edge.outbox.base import Choice

CHILD = Path(__file__).with_name("appending_child.py")
TESTS = Path(__file__).parents[2]
MUCH = 1 << 30


def start(path: Path, *, writers: int, under: tuple[str, ...] = ()) -> "subprocess.Popen[bytes]":
    command = [*under, sys.executable, str(CHILD), str(path), str(writers)]
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)


def read_for(child: "subprocess.Popen[bytes]", seconds: float) -> bytes:
    """What the child prints until ``seconds`` after its first line."""
    assert child.stdout is not None
    printed = os.read(child.stdout.fileno(), 1 << 16)
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if select.select([child.stdout], [], [], left)[0]:
            printed += os.read(child.stdout.fileno(), 1 << 16)
    return printed


def kill(child: "subprocess.Popen[bytes]", printed: bytes) -> dict[int, int]:
    """kill -9; returns {seq: number} of every whole line the child has printed."""
    child.send_signal(signal.SIGKILL)
    rest, _ = child.communicate(timeout=180)
    lines = (printed + rest).decode().split("\n")[:-1]
    return {int(seq): int(number) for seq, number in (line.split() for line in lines)}


async def held(path: Path) -> dict[int, int]:
    async with sqlite_outbox(path, ManualClock(mono_ms=1 << 40)) as outbox:
        return {
            one.seq: number_of(one)
            for choice in Choice
            for one in await outbox.take(choice, max_records=MUCH, max_bytes=MUCH)
        }


@pytest.mark.parametrize("writers", [1, 8])
async def test_nothing_accepted_is_lost(tmp_path: Path, writers: int) -> None:
    """Several lives of one outbox file, each ended at a random moment."""
    moments = random.Random(20260801 + writers)
    path = tmp_path / "outbox.db"
    accepted: dict[int, int] = {}
    for _ in range(4):
        child = start(path, writers=writers)
        printed = read_for(child, moments.uniform(0.01, 0.4))
        accepted |= kill(child, printed)
        found = await held(path)
        lost = {seq: number for seq, number in accepted.items() if found.get(seq) != number}
        assert not lost
        assert sorted(found) == list(range(1, len(found) + 1))  # no seq twice, none left out
    assert len(accepted) > 10


def test_append_returns_after_a_flush_of_the_log(tmp_path: Path) -> None:
    """Between two printed appends of one writer stands at least one fdatasync of the log."""
    strace = _strace()
    trace = tmp_path / "trace"
    options = ("-f", "-y", "-o", str(trace), "-e", "trace=write,fdatasync,fsync")
    child = start(tmp_path / "outbox.db", writers=1, under=(strace, *options))
    try:
        read_for(child, 1.0)
    finally:
        _kill_traced(child)
    events = [event for event in map(_event, trace.read_text().splitlines()) if event]
    first = events.index("printed")
    pairs = "".join("p" if event == "printed" else "f" for event in events[first:])
    assert pairs.count("p") > 5
    assert "pp" not in pairs


def _kill_traced(child: "subprocess.Popen[bytes]") -> None:
    """strace detaches on SIGTERM; the traced process is its child."""
    children = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
    for pid in children:
        os.kill(int(pid), signal.SIGKILL)
    child.communicate(timeout=180)


def _event(line: str) -> str | None:
    if re.search(r"\bwrite\(1<", line):
        return "printed"
    if re.search(r"\b(fdatasync|fsync)\(\d+<[^>]*-wal>", line) and "unfinished" not in line:
        return "flushed"
    if "fdatasync resumed" in line or "fsync resumed" in line:
        return "flushed"
    return None


def _strace() -> str:
    return shutil.which("strace") or missing("strace", "apt install strace")
