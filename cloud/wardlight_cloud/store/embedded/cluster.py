"""Makes a cluster once, completely or not at all, and writes its settings at each start.

UTF-8, sorted by code point (the order never changes with a C library), with data checksums. Local
sockets are trusted, because their folder is private to one account; TCP needs a password.
"""

import os
import secrets
import shutil
import signal
import subprocess
from pathlib import Path

from wardlight_cloud.private_file import sync_folder, write_private
from wardlight_cloud.store.embedded.errors import PostgresError
from wardlight_cloud.store.embedded.placement import Placement
from wardlight_cloud.store.embedded.settings import configuration_text

SUPERUSER = "wardlight"
_CONFIGURATION = "wardlight.conf"
_INCLUDE = f"\ninclude_if_exists = '{_CONFIGURATION}'\n"
_BUILTIN_LOCALE_SINCE = 17
_TIMEOUT_S = 300.0  # a slow disk; initdb writes about 40 MB and syncs them
_LONGEST_COMPLAINT = 2000


def password(file: Path) -> str:
    """The superuser's password for TCP, made at random once and kept in `file` (0600)."""
    if not file.is_file():
        write_private(file, secrets.token_urlsafe(24))
    return file.read_text()


def create(placement: Placement, *, superuser_password: str, database: str, durable: bool) -> None:
    """Run initdb and create `database`; a crash on the way leaves nothing that counts as a cluster.

    Raises PostgresError with what the program said.
    """
    draft = placement.cluster.with_name(placement.cluster.name + ".new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    placement.identity.own(draft)
    _initdb(placement, draft, superuser_password, durable=durable)
    with (draft / "postgresql.conf").open("a") as file:
        file.write(_INCLUDE)
        file.flush()
        os.fsync(file.fileno())
    _create_database(placement, draft, database, durable=durable)
    draft.rename(placement.cluster)
    if durable:
        sync_folder(placement.cluster.parent)


def configure(placement: Placement, settings: dict[str, str]) -> None:
    """Write the tunable settings into the cluster."""
    file = placement.cluster / _CONFIGURATION
    write_private(file, configuration_text(settings))
    placement.identity.own(file)


def _initdb(placement: Placement, draft: Path, superuser_password: str, *, durable: bool) -> None:
    private = placement.new_socket_folder()
    try:
        password_file = private / "password"
        write_private(password_file, superuser_password)
        placement.identity.own(password_file)
        options = ["--username", SUPERUSER, "--pwfile", str(password_file), "--data-checksums"]
        options += ["--encoding=UTF8", "--auth-local=trust", "--auth-host=scram-sha-256"]
        options += _locale_options(placement.binaries.major)
        options += [] if durable else ["--no-sync", "--wal-segsize=1"]
        _run(placement, ["initdb", *options, "--pgdata", str(draft)])
    finally:
        shutil.rmtree(private)


def _locale_options(major: int) -> list[str]:
    if major >= _BUILTIN_LOCALE_SINCE:
        return ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    return ["--locale=C.UTF-8"]


def _create_database(placement: Placement, cluster: Path, name: str, *, durable: bool) -> None:
    """Single-user mode: no server, no client library."""
    options = [] if durable else ["-F"]
    quoted = name.replace('"', '""')
    argv = ["postgres", "--single", *options, "-D", str(cluster), "postgres"]
    _run(placement, argv, stdin=f'CREATE DATABASE "{quoted}"\n')


def _run(placement: Placement, argv: list[str], stdin: str = "") -> None:
    program = placement.binaries.path(argv[0])
    command = placement.identity.command([str(program), *argv[1:]], signal.SIGKILL)
    try:
        result = subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_S,
            cwd="/",
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise PostgresError(f"{program} did not finish within {_TIMEOUT_S:g} s") from error
    said = (result.stdout + result.stderr).strip()
    # Single-user mode exits with 0 even when its statement failed.
    if result.returncode != 0 or "ERROR:" in said or "FATAL:" in said:
        raise PostgresError(
            f"{program} failed (exit code {result.returncode}): {said[-_LONGEST_COMPLAINT:]}"
        )
