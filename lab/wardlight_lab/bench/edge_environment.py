"""A virtual environment with what a gateway installs and nothing else, from requirements/edge.txt.

Made once and again when the lock has changed.
"""

import fcntl
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from wardlight_lab.bench.setting import CHECKOUT, UnfitMachine

FOLDER: Final = CHECKOUT / ".cache" / "edge-environment"
_LOCK: Final = CHECKOUT / "requirements" / "edge.txt"
_INSTALL_S: Final = 300.0


def edge_python() -> Path:
    """Its interpreter; UnfitMachine when the environment cannot be made."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another run may share the checkout
        stamp = FOLDER / "made-from"
        if not stamp.is_file() or stamp.read_text() != _state():
            _make()
            stamp.write_text(_state())
    return _python()


def _python() -> Path:
    return FOLDER / "venv" / "bin" / "python"


def _state() -> str:
    return f"{sys.version}\n{CHECKOUT}\n{hashlib.sha256(_LOCK.read_bytes()).hexdigest()}\n"


def _make() -> None:
    shutil.rmtree(FOLDER / "venv", ignore_errors=True)
    try:
        _run(sys.executable, "-m", "venv", str(FOLDER / "venv"))
        pip = (str(_python()), "-m", "pip", "--quiet", "--no-input", "--disable-pip-version-check")
        _run(*pip, "install", "--require-hashes", "-r", str(_LOCK))
    except (OSError, subprocess.SubprocessError) as error:
        raise UnfitMachine(f"the edge-only environment could not be made: {error}") from error
    # As an editable install would, without what that leaves behind in the checkout.
    (site,) = (FOLDER / "venv").glob("lib/python3*/site-packages")
    folders = [str(CHECKOUT / side) for side in ("shared", "edge")]
    (site / "wardlight.pth").write_text("\n".join(folders) + "\n")


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=_INSTALL_S, cwd=FOLDER)
