"""Puts new permissions in force at a running broker.

Four steps: check the text, replace the file as a whole, check the file and that the broker's own
account can read it, tell the broker to read it again (SIGHUP). Both brokers fail in ways of their
own on a file that is broken or cannot be read: nats-server keeps what it had, mosquitto 2.0 lets
every client do everything. So neither is ever told to read one, and none ever stands in its place,
where a restart or somebody else's SIGHUP would find it.

A gateway that is no longer named loses its session at nats-server within milliseconds. Mosquitto
keeps the connection, over which nothing passes any more in either direction.
"""

import os
import re
import signal
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

from wardlight_cloud.private_file import write_private
from wardlight_cloud.security.broker import MOSQUITTO_FIRST_LINE
from wardlight_shared.errors import WardlightError

_ACL_LINE = re.compile(r"|#.*|user [a-z0-9-]{3,64}|topic (read|write) wl/1/[a-z0-9+/-]+(/#)?")
_PROGRAMS = {"nats-server", "mosquitto"}
_CHECK_TIMEOUT_S = 30.0


class BrokerReloadError(WardlightError):
    """The broker was not told to reload, and runs with what it read before; the text says why."""


def write_permissions(file: Path, text: str) -> bool:
    """Replace the permissions file, for the same readers; False when it said the same before.

    BrokerReloadError, with the file as it was, for a text of mosquitto's that we would not write.
    """
    if file.is_file() and file.read_text() == text:
        return False
    if MOSQUITTO_FIRST_LINE in text:
        _check_mosquitto_lines(text.splitlines(), file)
    write_private(file, text, keep_readers=True)
    return True


def reload_broker(
    pid_file: Path, check: Callable[[], None], permissions_file: Path | None = None
) -> None:
    """Run `check`, then make the broker that wrote `pid_file` read its files again.

    Raises BrokerReloadError from the check, when no broker runs, and when its account cannot read
    `permissions_file`.
    """
    check()
    pid = broker_pid(pid_file)
    if permissions_file is not None:
        _require_readable(pid, permissions_file)
    os.kill(pid, signal.SIGHUP)


def _require_readable(pid: int, file: Path) -> None:
    """BrokerReloadError unless the account of process `pid` may read `file`."""
    status = Path(f"/proc/{pid}/status").read_text()
    account = {
        name: [int(number) for number in line.split()[1:]]
        for line in status.splitlines()
        if (name := line.partition(":")[0]) in ("Uid", "Gid", "Groups")
    }
    uid, groups = account["Uid"][1], {account["Gid"][1], *account["Groups"]}
    paths = [file.absolute(), *file.absolute().parents]
    wanted = [stat.S_IROTH, *[stat.S_IXOTH] * (len(paths) - 1)]
    for path, bit in zip(paths, wanted, strict=True):
        if not _may(path.stat(), bit, uid, groups):
            raise BrokerReloadError(
                f"The broker's account (user {uid}) cannot use {path}, and would not read {file}. "
                "Give it the right to, then reload."
            )


def _may(found: os.stat_result, other_bit: int, uid: int, groups: set[int]) -> bool:
    """Whether an account has a right, given as the bit for everybody else (inode(7))."""
    if uid == 0:
        return True
    shift = 6 if found.st_uid == uid else 3 if found.st_gid in groups else 0
    return bool(found.st_mode & other_bit << shift)


def broker_pid(pid_file: Path) -> int:
    """The broker's process id; BrokerReloadError when the file names no living broker."""
    try:
        pid = int(pid_file.read_text())
        program = Path(f"/proc/{pid}/comm").read_text().strip()
    except (OSError, ValueError) as error:
        raise BrokerReloadError(f"No broker runs that {pid_file} knows.") from error
    if program not in _PROGRAMS:
        raise BrokerReloadError(f"Process {pid}, which {pid_file} names, is {program}: no broker.")
    return pid


def check_mosquitto_acl(file: Path) -> None:
    """BrokerReloadError unless every line is one that we would write."""
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BrokerReloadError(f"Cannot read the permissions in {file}; write it anew.") from error
    _check_mosquitto_lines(lines, file)


def _check_mosquitto_lines(lines: list[str], file: Path) -> None:
    if MOSQUITTO_FIRST_LINE not in lines:
        raise BrokerReloadError(f"{file} does not begin as Wardlight begins it; write it anew.")
    for number, line in enumerate(lines, 1):
        if line != MOSQUITTO_FIRST_LINE and not _ACL_LINE.fullmatch(line):
            raise BrokerReloadError(f"{file}, line {number} is no permission; write it anew.")


def check_nats_config(program: Path, file: Path) -> None:
    """BrokerReloadError with nats-server's own words unless it would take `file`."""
    try:
        result = subprocess.run(
            [str(program), "-t", "-c", str(file)],
            capture_output=True,
            text=True,
            timeout=_CHECK_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BrokerReloadError(f"{program} cannot check {file}: {error}") from error
    if result.returncode != 0:
        raise BrokerReloadError((result.stderr or result.stdout).strip())
