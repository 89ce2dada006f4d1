"""Under which account the server runs. PostgreSQL refuses root, so root needs another one.

DIRECT      an ordinary user: the server runs as that user
NAMESPACE   root: the server runs in a user namespace, where the same files belong to user 1000;
            no second account, no change of owner, no copy (util-linux `unshare`, which becomes the
            server, so the process id is the server's)
ACCOUNT     root where user namespaces are refused, or a cluster that another user made: the server
            runs as that user, as `postgres`, or as `nobody`. No account is ever created.
Source: user_namespaces(7), unshare(1).
"""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from wardlight_cloud.store.embedded.errors import PostgresError
from wardlight_cloud.store.embedded.tether import tethered

_NAMESPACE_USER = 1000
_ACCOUNTS = ("postgres", "nobody")
_TIMEOUT_S = 20.0


class Kind(Enum):
    """How the server's account comes about."""

    DIRECT = "direct"
    NAMESPACE = "namespace"
    ACCOUNT = "account"


@dataclass(frozen=True)
class Identity:
    """The account of the server, as the file system sees it, and how a command gets there."""

    kind: Kind
    uid: int
    gid: int
    prefix: tuple[str, ...] = ()

    def command(self, argv: list[str], death_signal: int) -> list[str]:
        """`argv` run under this identity, signalled with `death_signal` when our process dies."""
        uid, gid = (self.uid, self.gid) if self.kind is Kind.ACCOUNT else (None, None)
        return tethered([*self.prefix, *argv], death_signal=death_signal, uid=uid, gid=gid)

    def own(self, path: Path) -> None:
        """Give a file or folder that we made to the server's account."""
        if self.kind is Kind.ACCOUNT:
            os.chown(path, self.uid, self.gid)

    def may_enter(self, folder: Path) -> bool:
        """Whether the account can reach `folder` through all its parents."""
        return self._succeeds("cd", folder)

    def may_run(self, program: Path) -> bool:
        """Whether the account can reach and execute `program`."""
        return self._succeeds("test -x", program)

    def works(self) -> bool:
        """Whether this system lets a command run under this identity at all."""
        return self._succeeds("cd", Path("/"))

    def _succeeds(self, test: str, path: Path) -> bool:
        if self.kind is Kind.DIRECT:
            return True
        argv = ["/bin/sh", "-c", f'{test} "$1"', "sh", str(path)]
        try:
            result = subprocess.run(
                self.command(argv, death_signal=9),
                capture_output=True,
                timeout=_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.SubprocessError):
            return False
        return result.returncode == 0


def direct() -> Identity:
    """The account that runs this process."""
    return Identity(Kind.DIRECT, os.geteuid(), os.getegid())


def namespace() -> Identity:
    """Root's files, seen from a user namespace in which they belong to an ordinary user."""
    unshare = shutil.which("unshare") or "unshare"
    users = (f"--map-user={_NAMESPACE_USER}", f"--map-group={_NAMESPACE_USER}")
    return Identity(Kind.NAMESPACE, os.geteuid(), os.getegid(), (unshare, "-U", *users, "--"))


def account(uid: int, gid: int) -> Identity:
    """Another account of this system, which root may become."""
    return Identity(Kind.ACCOUNT, uid, gid)


def new_cluster_identity() -> Identity:
    """The identity for a cluster that is still to be made."""
    if os.geteuid() != 0:
        return direct()
    for identity in _roots_choices():
        if identity.works():
            return identity
    raise PostgresError(
        "PostgreSQL does not run as root, and this system allows neither user namespaces nor a "
        "change to the accounts `postgres` or `nobody`. Run this as an ordinary user."
    )


def identity_of_cluster(cluster: Path) -> Identity:
    """The identity for a cluster that exists: it belongs to whom its folder belongs.

    Raises PostgresError when that account is out of reach.
    """
    owner = cluster.stat()
    if os.geteuid() != 0:
        if owner.st_uid != os.geteuid():
            raise PostgresError(
                f"The database in {cluster} belongs to user {owner.st_uid}, this process runs as "
                f"user {os.geteuid()}. Run as that user, or choose another data folder."
            )
        return direct()
    if owner.st_uid != 0:
        return account(owner.st_uid, owner.st_gid)
    identity = namespace()
    if not identity.works():
        raise PostgresError(
            f"The database in {cluster} belongs to root, which needs user namespaces, and this "
            f"system refuses them. Give it to another account (chown -R postgres {cluster})."
        )
    return identity


def _roots_choices() -> Iterator[Identity]:
    yield namespace()
    for name in _ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        yield account(entry.pw_uid, entry.pw_gid)
