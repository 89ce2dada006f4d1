"""A virtual environment with only what a gateway installs, made once from requirements/edge.txt."""

import fcntl
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from support.peers import missing
from support.tree import PACKAGES, ROOT

FOLDER = ROOT / ".cache" / "edge-environment"
INSTALL_S = 300


def edge_python() -> Path:
    """The interpreter of the edge-only environment; skips (fails in CI) when it cannot be made."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several test runs share the checkout
        stamp = FOLDER / "made-from"
        if not stamp.is_file() or stamp.read_text() != _state():
            _make()
            stamp.write_text(_state())
    return _python()


def _python() -> Path:
    return FOLDER / "venv" / "bin" / "python"


def _state() -> str:
    lock = (ROOT / "requirements" / "edge.txt").read_bytes()
    return f"{sys.version}\n{ROOT}\n{hashlib.sha256(lock).hexdigest()}\n"


def _make() -> None:
    shutil.rmtree(FOLDER / "venv", ignore_errors=True)
    try:
        _run(sys.executable, "-m", "venv", str(FOLDER / "venv"))
        pip = (str(_python()), "-m", "pip", "--quiet", "--no-input", "--disable-pip-version-check")
        _run(*pip, "install", "--require-hashes", "-r", str(ROOT / "requirements" / "edge.txt"))
    except subprocess.SubprocessError as error:
        missing("the edge-only environment", f"it could not be made from its lock ({error})")
    # As `pip install -e .` would, without what that leaves behind in the checkout.
    (site,) = (FOLDER / "venv").glob("lib/python3*/site-packages")
    folders = [str(package.parent) for package in PACKAGES if package.parent.name != "lab"]
    (site / "wardlight.pth").write_text("\n".join(folders) + "\n")


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=INSTALL_S, cwd=FOLDER)
