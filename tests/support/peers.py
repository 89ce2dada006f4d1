"""System programs that tests talk to: find one, or say which package has it.

A missing peer skips the test; with CI=true it fails the test, so that no promise goes unproved
unnoticed.
"""

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

PACKAGES = {
    "Orthanc": "orthanc orthanc-dicomweb",
    "basenc": "coreutils",
    "bash": "bash",
    "chromium": "chromium",
    "curl": "curl",
    "dbus-daemon": "dbus",
    "dcmdump": "dcmtk",
    "dcmftest": "dcmtk",
    "dcmmkdir": "dcmtk",
    "dcmqrscp": "dcmtk",
    "dcmsend": "dcmtk",
    "dump2dcm": "dcmtk",
    "echoscu": "dcmtk",
    "findscu": "dcmtk",
    "getscu": "dcmtk",
    "mosquitto": "mosquitto",
    "movescu": "dcmtk",
    "node": "nodejs",
    "npm": "npm",
    "openssl": "openssl",
    "storescp": "dcmtk",
    "storescu": "dcmtk",
    "strace": "strace",
    "systemd-analyze": "systemd",
}

# An ordinary user's PATH lacks sbin, where Debian keeps mosquitto.
SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])

TIMESCALE = Path(__file__).parents[2] / ".cache" / "timescale"


def in_ci() -> bool:
    """Whether a missing peer is a failure."""
    return os.environ.get("CI", "").lower() in {"1", "true", "yes"}


def missing(what: str, remedy: str) -> NoReturn:
    """Skip the running test, or fail it in CI; both say what to install."""
    message = f"{what} is missing: {remedy}"
    if in_ci():
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


def require_peer(name: str) -> Path:
    """The path of the program `name`; without it the running test skips (fails in CI)."""
    found = shutil.which(name, path=SEARCH_PATH)
    if found is None:
        missing(name, f"apt install {PACKAGES[name]}")
    return Path(found)


def require_timescale() -> Path:
    """The folder whose node_modules hold PostgreSQL with TimescaleDB, made by scripts/peers."""
    require_peer("node")
    if not (TIMESCALE / "node_modules" / "@electric-sql" / "pglite-socket").is_dir():
        missing("the npm build of TimescaleDB", "apt install nodejs npm, then scripts/peers")
    return TIMESCALE
