"""What the system says of processes, and what we believe where it says nothing."""

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from support.waiting import wait_until_sync
from wardlight_cloud.store.embedded import processes
from wardlight_cloud.store.embedded.processes import (
    command_line,
    exited,
    is_running,
    servers_working_in,
)


def test_a_zombie_does_not_run() -> None:
    with subprocess.Popen(["true"]) as zombie:
        wait_until_sync(lambda: not is_running(zombie.pid))
        os.kill(zombie.pid, 0)  # and yet the kernel answers


def test_a_program_with_brackets_in_its_name_is_read_right(tmp_path: Path) -> None:
    odd = tmp_path / "a) Z (b"
    odd.symlink_to("/bin/sleep")
    with subprocess.Popen([odd, "600"]) as process:
        assert is_running(process.pid)
        process.kill()


def test_a_command_line_is_empty_for_nobody() -> None:
    with subprocess.Popen(["sleep", "600"]) as process:
        wait_until_sync(lambda: command_line(process.pid) == ["sleep", "600"])
        process.kill()
    assert command_line(process.pid) == []


def test_other_programs_in_a_folder_are_no_servers(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "600"], cwd=tmp_path) as process:
        assert servers_working_in(tmp_path) == []
        process.kill()
    assert servers_working_in(tmp_path / "missing") == []


async def test_exited_returns_for_a_process_that_is_gone() -> None:
    process = await asyncio.create_subprocess_exec("true")
    await process.wait()
    await exited(process.pid)


async def test_exited_waits_without_the_kernels_help_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int) -> int:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("os.pidfd_open", refuse)
    process = await asyncio.create_subprocess_exec("sleep", "600")
    waiting = asyncio.create_task(exited(process.pid), name="exited")
    await asyncio.wait({waiting}, timeout=0.1)
    assert not waiting.done()
    process.kill()
    await waiting
    await process.wait()


def test_without_proc_the_kernels_answer_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_PROC", tmp_path)
    assert is_running(os.getpid())
    with subprocess.Popen(["true"]) as process:
        process.wait()
        assert not is_running(process.pid)
    assert servers_working_in(tmp_path) == []
    assert not processes.can_see_processes()
