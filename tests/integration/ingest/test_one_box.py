"""``wardlight-cloud all``: everything comes up, comes back, and leaves nothing behind."""

import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import psutil
import pytest

from support.ports import free_port
from support.waiting import wait_until
from wardlight_cloud.security.ca import CertificateAuthority
from wardlight_cloud.security.roles import Role
from wardlight_lab.supervise.process import ChildProcess


class Box:
    """The process and its family. No broker runs: the collector keeps trying."""

    def __init__(self, folder: Path, authority: CertificateAuthority) -> None:
        self.folder = folder
        self.http_port = free_port()
        own = authority.ensure_client("collector-1", Role.COLLECTOR)
        self.config = folder / "cloud.toml"
        self.config.write_text(
            f'data_dir = "data"\n[http]\nport = {self.http_port}\n[broker]\nport = {free_port()}\n'
            f'ca_file = "{own.authority}"\ncert_file = "{own.certificate}"\n'
            f'key_file = "{own.key}"\n'
        )

    def start(self) -> None:
        command = [sys.executable, "-m", "wardlight_cloud", "all", "--config", str(self.config)]
        self.process = ChildProcess.spawn(
            command, env={}, log_file=self.folder / "log", death_signal=signal.SIGKILL
        )

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def pid_of(self, command: str) -> int | None:
        for process in self.family():
            with contextlib.suppress(psutil.NoSuchProcess):
                words = process.cmdline()
                if "wardlight_cloud" in words and command in words:
                    return process.pid
        return None

    def is_ready(self) -> bool:
        try:
            with urlopen(f"http://127.0.0.1:{self.http_port}/readyz", timeout=180) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False


@pytest.fixture
async def box(tmp_path: Path, authority: CertificateAuthority) -> AsyncIterator[Box]:
    made = Box(tmp_path, authority)
    made.start()
    await wait_until(made.is_ready, 90, "the API is ready")
    yield made
    await made.process.stop(signal.SIGTERM, 60)


async def killed_and_back(box: Box, command: str) -> None:
    first = await wait_until(lambda: box.pid_of(command))
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await wait_until(lambda: box.pid_of(command) not in (None, first))


async def test_a_child_that_dies_comes_back_and_a_stop_ends_all(box: Box) -> None:
    for command in ("collect", "serve"):
        await killed_and_back(box, command)
    await wait_until(box.is_ready, 60)
    family = box.family()
    await box.process.stop(signal.SIGTERM, 60)
    assert await box.process.wait(1) == 0
    assert not [process for process in family if _lives(process)]


async def test_the_children_die_with_a_parent_that_is_killed(box: Box) -> None:
    family = box.family()
    os.kill(box.process.pid, signal.SIGKILL)
    await wait_until(lambda: not any(_lives(process) for process in family), 60)


async def test_wrong_settings_end_everything_with_code_2(
    tmp_path: Path, authority: CertificateAuthority
) -> None:
    box = Box(tmp_path, authority)
    box.config.write_text('data_dir = "data"\n[broker]\nca_file = "nowhere.pem"\n')
    box.start()
    assert await box.process.wait(90) == 2


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
