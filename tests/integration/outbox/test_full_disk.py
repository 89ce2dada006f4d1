"""A disk that is really full: refused with an error, nothing accepted is lost, and it recovers."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.peers import missing

CHILD = Path(__file__).with_name("full_disk_child.py")
TESTS = Path(__file__).parents[2]


@pytest.fixture
def own_mounts() -> list[str]:
    """A command prefix that gives a process mounts of its own; root, or user namespaces."""
    unshare = shutil.which("unshare") or missing("unshare", "apt install util-linux")
    prefix = [unshare, "-m"] if os.geteuid() == 0 else [unshare, "-rm"]
    probe = ["sh", "-c", "mount -t tmpfs -o size=1m none /mnt"]
    if subprocess.run([*prefix, *probe], capture_output=True, check=False).returncode:
        missing("a mount namespace", "run as root, or allow unprivileged user namespaces")
    return prefix


def test_cycles_of_a_full_disk(tmp_path: Path, own_mounts: list[str]) -> None:
    command = [*own_mounts, sys.executable, str(CHILD), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    done = subprocess.run(command, env=environment, capture_output=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr.decode()
    found = json.loads(done.stdout)
    assert found["same_epoch"]
    assert found["boot"] == 2
    assert found["levels"] == ["full"] * 4
    assert all(removed > 100 for removed in found["removed"])
    assert found["accepted"] > 1000
    assert (found["lost"], found["unasked"]) == (0, 0)
