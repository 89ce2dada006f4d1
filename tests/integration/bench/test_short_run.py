"""`wardlight bench --short`: every measurement runs to its end; the figures mean nothing."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.peers import require_peer
from wardlight_lab.bench.table import MEASUREMENTS

QUICK = ("append", "wire", "decode")
WITH_SERVERS = tuple(sorted(MEASUREMENTS.keys() - set(QUICK)))
WITH_BLUETOOTH = {"live", "memory"}


def _run(names: tuple[str, ...], file: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "wardlight_lab", "bench", "--short", "--json", str(file)]
    done = subprocess.run([*command, *names], capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout + done.stderr
    told: dict[str, Any] = json.loads(file.read_text())
    return told


def _check(told: dict[str, Any], names: tuple[str, ...]) -> None:
    assert told["short"]
    assert {row["name"] for row in told["rows"]} == set(names)
    assert not told["failed"]
    for row in told["rows"]:
        assert row["ours"] > 0, row
        assert row["baseline"] is None or row["baseline"] > 0, row


def test_measurements_without_servers_run(tmp_path: Path) -> None:
    _check(_run(QUICK, tmp_path / "figures.json"), QUICK)


@pytest.mark.long
@pytest.mark.timeout(420)
@pytest.mark.parametrize("name", WITH_SERVERS)
def test_measurements_with_servers_run(name: str, tmp_path: Path) -> None:
    if name in WITH_BLUETOOTH:
        require_peer("dbus-daemon")
    _check(_run((name,), tmp_path / "figures.json"), (name,))
