"""Clears away what an earlier server left behind, so that the next one can start, and never more.

The rules, in order; the caller holds the data folder's lock, so no living owner of ours exists.
1. A server that still runs and is ours (it bears our cluster_name) lost its owner: it is stopped.
2. A server that still runs and is not ours stays: PostgresInUse.
3. Backends that outlive a killed server may still write: they are ended before anything else, for
   a new server beside them would corrupt the data.
4. Only then is a `postmaster.pid` removed that names a dead process, a zombie, or a stranger that
   got the same number. PostgreSQL itself gives up on the last two.
"""

import logging
import os
import signal
import time
from pathlib import Path

from wardlight_cloud.store.embedded.errors import PostgresError, PostgresInUse
from wardlight_cloud.store.embedded.processes import (
    can_see_processes,
    command_line,
    servers_working_in,
)
from wardlight_cloud.store.embedded.settings import MARK

_log = logging.getLogger(__name__)
_POLL_S = 0.02
_BACKENDS_NOTICE_S = 5.0  # a backend looks for its dead server at its next wait, mostly at once


def clear_remains(cluster: Path, *, stop_within_s: float) -> None:
    """Apply the rules to `cluster`; raises PostgresInUse or PostgresError."""
    if not can_see_processes():
        return  # PostgreSQL's own check, which is more timid, has to do
    pid_file = cluster / "postmaster.pid"
    server = _server_pid(pid_file)
    if server is not None and server in servers_working_in(cluster):
        _stop_orphan(server, cluster, stop_within_s)
    _end_backends(cluster)
    if pid_file.exists():
        _log.warning("removed the lock file of a dead database server", extra={"server": server})
        pid_file.unlink(missing_ok=True)


def _server_pid(pid_file: Path) -> int | None:
    try:
        return int(pid_file.read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return None


def _stop_orphan(server: int, cluster: Path, stop_within_s: float) -> None:
    if f"cluster_name={MARK}" not in command_line(server):
        raise PostgresInUse(
            f"Process {server} serves the database in {cluster} and was not started by Wardlight. "
            "Stop it first, or configure its DSN instead of a data folder."
        )
    _log.warning("stopping a database server without owner", extra={"server": server})
    for number, patience_s in ((signal.SIGINT, stop_within_s), (signal.SIGQUIT, 5.0)):
        _send(server, number)
        if _all_gone(cluster, patience_s):
            return
    _send(server, signal.SIGKILL)


def _end_backends(cluster: Path) -> None:
    if _all_gone(cluster, _BACKENDS_NOTICE_S):
        return
    for number in (signal.SIGQUIT, signal.SIGKILL):
        for backend in servers_working_in(cluster):
            _log.warning("ending a backend without server", extra={"backend": backend})
            _send(backend, number)
        if _all_gone(cluster, _BACKENDS_NOTICE_S):
            return
    raise PostgresError(
        f"Processes {servers_working_in(cluster)} still use the database in {cluster} and cannot "
        "be ended. Nothing was started beside them."
    )


def _all_gone(cluster: Path, patience_s: float) -> bool:
    deadline = time.monotonic() + patience_s
    while servers_working_in(cluster):
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_S)
    return True


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
