"""Where a data folder's cluster lies, who runs it, and with which programs.

Almost always: `pgdata` inside the data folder, and the programs where they were installed. When the
server's account cannot enter the data folder (root's checkout below a 0700 home, no user
namespaces), the cluster gets a place of its own below `/var/lib/wardlight` and the data folder a
pointer file that names it; programs it cannot reach are copied there too (once a version).
"""

import hashlib
import logging
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from wardlight_cloud.private_file import write_private
from wardlight_cloud.store.embedded.binaries import Binaries, find_binaries
from wardlight_cloud.store.embedded.errors import PostgresError
from wardlight_cloud.store.embedded.identity import (
    Identity,
    identity_of_cluster,
    new_cluster_identity,
)

_log = logging.getLogger(__name__)
CLUSTER = "pgdata"
POINTER = "postgres.location"
SOCKET_FOLDER_PREFIX = "wl-pg-"
SHARED_FOLDER = Path("/var/lib/wardlight")
_LONGEST_SOCKET_FOLDER = 80  # a socket's path holds 107 bytes, its file name up to 20


@dataclass(frozen=True)
class Placement:
    """A cluster's folder (which need not exist yet), its account and its programs."""

    cluster: Path
    identity: Identity
    binaries: Binaries

    @property
    def exists(self) -> bool:
        """Whether the cluster has been made."""
        return (self.cluster / "PG_VERSION").is_file()

    def new_socket_folder(self) -> Path:
        """A fresh 0700 folder with a path short enough for a socket, owned by the server."""
        folder = Path(tempfile.mkdtemp(prefix=SOCKET_FOLDER_PREFIX, dir=self.socket_folders))
        self.identity.own(folder)
        return folder

    @property
    def socket_folders(self) -> Path:
        """Where the folders of sockets lie."""
        base = Path(tempfile.gettempdir())
        if len(os.fsencode(base)) > _LONGEST_SOCKET_FOLDER or not self.identity.may_enter(base):
            return Path("/tmp")  # noqa: S108 - mkdtemp makes the folder private
        return base


def place(
    data_folder: Path,
    *,
    identity: Identity | None = None,
    shared_folder: Path = SHARED_FOLDER,
) -> Placement:
    """Find the cluster of `data_folder`, or choose where it will be made.

    Raises PostgresError when no account or no programs fit.
    """
    cluster = _home(data_folder) / CLUSTER
    if (cluster / "PG_VERSION").is_file():
        identity = identity or identity_of_cluster(cluster)
        binaries = find_binaries(_major_of(cluster))
    else:
        identity = identity or new_cluster_identity()
        binaries = find_binaries()
        if not identity.may_enter(cluster.parent):
            cluster = _home_elsewhere(data_folder, identity, shared_folder) / CLUSTER
    return Placement(cluster, identity, _reachable(binaries, identity, shared_folder))


def _home(data_folder: Path) -> Path:
    try:
        return Path((data_folder / POINTER).read_text().strip())
    except FileNotFoundError:
        return data_folder


def _major_of(cluster: Path) -> int:
    text = (cluster / "PG_VERSION").read_text().strip()
    try:
        return int(text)
    except ValueError as error:
        raise PostgresError(f"{cluster}/PG_VERSION says {text!r}, which is no version") from error


def _home_elsewhere(data_folder: Path, identity: Identity, shared_folder: Path) -> Path:
    shared_folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix="postgres-", dir=shared_folder))
    identity.own(home)
    if not identity.may_enter(home):
        home.rmdir()
        raise PostgresError(
            f"The account of the database (user {identity.uid}) can enter neither {data_folder} "
            f"nor {shared_folder}. Choose a data folder whose parents it may enter."
        )
    write_private(data_folder / POINTER, f"{home}\n")
    _log.warning("the database lies outside the data folder", extra={"folder": str(home)})
    return home


def _reachable(binaries: Binaries, identity: Identity, shared_folder: Path) -> Binaries:
    if identity.may_run(binaries.path("postgres")):
        return binaries
    copy = shared_folder / f"postgresql-{binaries.major}-{_fingerprint(binaries)}"
    if not copy.is_dir():
        _copy_installation(binaries.folder.parent, copy)
    copied = Binaries(copy / "bin", binaries.major)
    if not identity.may_run(copied.path("postgres")):
        raise PostgresError(
            f"The account of the database (user {identity.uid}) can run PostgreSQL neither from "
            f"{binaries.folder} nor from the copy in {copied.folder}."
        )
    return copied


def _copy_installation(source: Path, target: Path) -> None:
    """Copy programs, libraries and their data; they find one another by relative path."""
    target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix="copying-", dir=target.parent))
    try:
        for name in ("bin", "lib", "share"):
            shutil.copytree(source / name, draft / name, symlinks=True)
        draft.chmod(0o755)
        draft.rename(target)
    except FileExistsError:
        pass  # another process has made the same copy meanwhile
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _fingerprint(binaries: Binaries) -> str:
    status = binaries.path("postgres").stat()
    text = f"{binaries.folder} {status.st_size} {status.st_mtime_ns}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]
