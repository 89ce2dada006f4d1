"""The launcher becomes the program, resets what it must, and stays away when nobody waits."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.waiting import wait_until_sync
from wardlight_cloud.store.embedded.processes import is_running
from wardlight_cloud.store.embedded.tether import tethered

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


def run(argv: list[str], **options: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(  # type: ignore[call-overload, no-any-return] # options are forwarded
        argv, capture_output=True, text=True, timeout=180, check=False, **options
    )


def test_the_process_id_is_the_programs() -> None:
    with subprocess.Popen(
        tethered(["sh", "-c", "echo $$"]), stdout=subprocess.PIPE, text=True
    ) as process:
        said = process.communicate()[0]
    assert int(said) == process.pid


def test_a_program_that_cannot_run_is_named() -> None:
    result = run(tethered(["/nonexistent/program"]))
    assert result.returncode == 127
    assert result.stderr == "cannot run /nonexistent/program: No such file or directory\n"


ACCOUNTS = ["", pytest.param("uid=65534, gid=65534", marks=ROOT_ONLY)]


@pytest.mark.parametrize("account", ACCOUNTS, ids=["same account", "another account"])
def test_the_program_dies_with_the_process_that_started_it(account: str) -> None:
    script = (
        "import subprocess, sys, os, signal\n"
        "from wardlight_cloud.store.embedded.tether import tethered\n"
        "argv = ['sh', '-c', 'echo up; exec sleep 600']\n"
        f"child = subprocess.Popen(tethered(argv, {account}), stdout=subprocess.PIPE, cwd='/')\n"
        "child.stdout.readline()\n"
        "print(child.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    result = run([sys.executable, "-c", script])
    assert result.returncode == -signal.SIGKILL
    wait_until_sync(lambda: not is_running(int(result.stdout)))


def test_a_launcher_whose_parent_is_gone_starts_nothing(tmp_path: Path) -> None:
    sign = tmp_path / "started"
    command = tethered(["touch", str(sign)])
    command[command.index(str(os.getpid()))] = "1"  # somebody else's child
    assert run(command).returncode == 0
    assert not sign.exists()


def test_ignored_signals_are_not_inherited() -> None:
    """A shell's background job ignores SIGINT, and Python ignores SIGPIPE."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        result = run(tethered(["cat", "/proc/self/status"]), restore_signals=False)
    finally:
        signal.signal(signal.SIGINT, before)
    ignored = next(line for line in result.stdout.splitlines() if line.startswith("SigIgn"))
    mask = int(ignored.split()[1], 16)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE):
        assert not mask & 1 << (number - 1)


@ROOT_ONLY
def test_as_another_account_nothing_of_root_is_left() -> None:
    result = run(tethered(["cat", "/proc/self/status"], uid=65534, gid=65534), cwd="/")
    status = dict(line.split(":\t", 1) for line in result.stdout.splitlines() if ":\t" in line)
    assert status["Uid"].split() == ["65534"] * 4
    assert status["Gid"].split() == ["65534"] * 4
    assert status["Groups"].split() == []
    assert int(status["CapEff"], 16) == 0


def test_an_account_that_cannot_be_had_is_told() -> None:
    if os.geteuid() == 0:
        pytest.skip("root can become anybody")
    result = run(tethered(["true"], uid=65534, gid=65534))
    assert result.returncode == 127
