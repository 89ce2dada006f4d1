"""A virtual environment with only what a gateway installs, made once from requirements/edge.txt."""

import fcntl
import hashlib
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

from support.peers import missing
from support.tree import PACKAGES, ROOT

FOLDER = ROOT / ".cache" / "edge-alone"  # not that of `make bench`, which must hold bytecode
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
        lock = str(ROOT / "requirements" / "edge.txt")
        # What is imported is compiled then; the rest need not be.
        _run(*_pip(), "install", "--no-compile", "--require-hashes", "-r", lock)
    except subprocess.SubprocessError as error:
        missing("the edge-only environment", f"it could not be made from its lock ({error})")
    # As `pip install -e .` would, without what that leaves behind in the checkout.
    (site,) = (FOLDER / "venv").glob("lib/python3*/site-packages")
    folders = [str(package.parent) for package in PACKAGES if package.parent.name != "lab"]
    (site / "wardlight.pth").write_text("\n".join(folders) + "\n")


def _pip() -> tuple[str, ...]:
    """Make the empty environment; returns the command that installs into it.

    Its own pip would be most of the work: the pip of the environment of the tests serves, if any.
    """
    venv = (sys.executable, "-m", "venv", str(FOLDER / "venv"))
    quiet = ("--quiet", "--no-input", "--disable-pip-version-check")
    if importlib.util.find_spec("pip") is None:
        _run(*venv)
        return str(_python()), "-m", "pip", *quiet
    _run(*venv, "--without-pip")
    return sys.executable, "-m", "pip", "--python", str(_python()), *quiet


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=INSTALL_S, cwd=FOLDER)
