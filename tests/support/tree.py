"""The files of the checkout, for the tests that read the house itself."""

import shutil
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = (
    ROOT / "shared" / "wardlight_shared",
    ROOT / "edge" / "wardlight_edge",
    ROOT / "cloud" / "wardlight_cloud",
    ROOT / "lab" / "wardlight_lab",
)
_NOT_OURS = {
    ".git",
    ".venv",
    ".cache",
    "node_modules",
    "wardlight-data",
    "wardlight-demo",
    "dist",
    "__pycache__",
}


@cache
def tracked() -> tuple[Path, ...]:
    """Every file of the project: what git knows, or without git all that is no build result."""
    git = shutil.which("git")
    if git is not None and (ROOT / ".git").exists():
        # Files not yet committed count too: they will be.
        arguments = [git, "-c", f"safe.directory={ROOT}", "-C", str(ROOT), "ls-files", "-z"]
        listed = subprocess.run(
            [*arguments, "--cached", "--others", "--exclude-standard"],
            check=True,
            capture_output=True,
            text=True,
            timeout=180,
        ).stdout
        paths = (ROOT / name for name in listed.split("\0") if name)
    else:
        paths = ROOT.rglob("*")
    return tuple(
        sorted(path for path in paths if path.is_file() and not _NOT_OURS & set(_inside(path)))
    )


def product_modules() -> tuple[Path, ...]:
    """Every Python file of the four packages."""
    return tuple(
        sorted(file for package in PACKAGES for file in package.rglob("*.py") if file.is_file())
    )


def text_files() -> tuple[Path, ...]:
    """Tracked files that are text."""
    return tuple(path for path in tracked() if b"\0" not in path.read_bytes()[:4096])


def relative(path: Path) -> str:
    """The path inside the checkout, as errors name it."""
    return str(path.relative_to(ROOT))


def _inside(path: Path) -> tuple[str, ...]:
    return path.relative_to(ROOT).parts
