"""``wardlight-edge doctor``: the secrets that devices need, of edge.toml and of devices.toml.

Their contents are looked at and never shown.
"""

import os
import pwd
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from wardlight_edge.config import DeviceSettings
from wardlight_edge.findings import Finding, bad, good
from wardlight_edge.sessions import bind_key
from wardlight_edge.sessions.consent_codes import consents_of
from wardlight_shared.errors import ConfigError


def key_files(device: DeviceSettings, source: Path, data_dir: Path) -> Iterator[Finding]:
    """The bind key and the consent codes of a device that ``source`` names."""
    file = device.bind_key_file
    if file is not None:
        what = f"bind key of {device.identity}"
        missing = "write its 32 hex digits there, mode 0600"
        yield _looked_at(what, file, source, data_dir, missing, lambda: bind_key.read(file))
    for user in device.users:
        alone = msgspec.structs.replace(device, users=(user,))
        yield _looked_at(
            f"consent code of user {user.index} of {device.identity}",
            user.consent_code_file,
            source,
            data_dir,
            "write the code that the person chose there, mode 0600",
            lambda alone=alone: consents_of(alone),  # type: ignore[misc]
        )


def _looked_at(
    what: str,
    file: Path,
    source: Path,
    data_dir: Path,
    missing: str,
    read: Callable[[], object],
) -> Finding:
    named = f"(named in {source})"
    if not _is_there(file):
        return bad(what, f"{file} is not there {named}: {missing}")
    try:
        read()
    except ConfigError as error:
        return bad(what, f"{error} {named}")
    stranger = _owner_who_is_not_the_gateway(file, data_dir)
    if stranger is not None:
        return bad(what, f"{file} is of {stranger[0]} {named}: chown {stranger[1]} {file}")
    return good(what, str(file))


def _is_there(file: Path) -> bool:
    try:
        return file.exists()
    except OSError:  # a folder on the way may not be looked into: reading says so
        return True


def _owner_who_is_not_the_gateway(file: Path, data_dir: Path) -> tuple[str, str] | None:
    """Root reads everything, and the gateway does not run as root: (owner, gateway's account)."""
    if os.geteuid() != 0 or not data_dir.exists():
        return None
    key, folder = file.stat(), data_dir.stat()
    # systemd shows the access list of a credential as group bits.
    if folder.st_uid in (0, key.st_uid) or key.st_mode & stat.S_IRGRP:
        return None
    return _account(key.st_uid), _account(folder.st_uid)


def _account(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
