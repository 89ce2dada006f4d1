"""Virtual environments with what one lock file names and nothing else.

Each is made once, and again when its lock has changed.
"""

import fcntl
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from wardlight_lab.bench.setting import CHECKOUT, UnfitMachine

_INSTALL_S: Final = 300.0


def python_of(name: str, sides: Sequence[str] = ()) -> Path:
    """Interpreter of the environment of requirements/NAME.txt, which imports these sides of ours.

    Errors: UnfitMachine when it cannot be made.
    """
    folder, lock_file = CHECKOUT / ".cache" / f"{name}-environment", _lock_file(name)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another run may share the checkout
        stamp, state = folder / "made-from", _state(lock_file)
        if not stamp.is_file() or stamp.read_text() != state:
            _make(folder, lock_file, sides)
            stamp.write_text(state)
    return _python(folder)


def _lock_file(name: str) -> Path:
    return CHECKOUT / "requirements" / f"{name}.txt"


def _python(folder: Path) -> Path:
    return folder / "venv" / "bin" / "python"


def _state(lock_file: Path) -> str:
    return f"{sys.version}\n{CHECKOUT}\n{hashlib.sha256(lock_file.read_bytes()).hexdigest()}\n"


def _make(folder: Path, lock_file: Path, sides: Sequence[str]) -> None:
    shutil.rmtree(folder / "venv", ignore_errors=True)
    try:
        _run(folder, sys.executable, "-m", "venv", str(folder / "venv"))
        pip = (str(_python(folder)), "-m", "pip", "--quiet", "--no-input")
        install = ("--disable-pip-version-check", "install", "--require-hashes", "-r")
        _run(folder, *pip, *install, str(lock_file))
    except (OSError, subprocess.SubprocessError) as error:
        text = f"the environment of {lock_file.name} could not be made: {error}"
        raise UnfitMachine(text) from error
    # As an editable install would, without what that leaves behind in the checkout.
    (site,) = (folder / "venv").glob("lib/python3*/site-packages")
    (site / "wardlight.pth").write_text("".join(f"{CHECKOUT / side}\n" for side in sides))


def _run(folder: Path, *command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=_INSTALL_S, cwd=folder)
