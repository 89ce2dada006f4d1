"""What an embedded server needs around its process: the steps that any supervisor can take.

Order: `prepare` once, then for each start `before_start`, run `command`, ask `is_serving`; and
`release` when it is over. Addresses (`dsn`) are known from `prepare` on and stay over restarts.
"""

import os
import shutil
import signal
from pathlib import Path
from urllib.parse import quote

from wardlight_cloud.folder_lock import FolderInUse, FolderLock
from wardlight_cloud.store.embedded import cluster
from wardlight_cloud.store.embedded.address import (
    NOTE,
    Address,
    is_nobodys,
    read_note,
    write_note,
)
from wardlight_cloud.store.embedded.errors import PostgresError, PostgresInUse
from wardlight_cloud.store.embedded.identity import Identity
from wardlight_cloud.store.embedded.placement import (
    SHARED_FOLDER,
    SOCKET_FOLDER_PREFIX,
    Placement,
    place,
)
from wardlight_cloud.store.embedded.ports import free_loopback_port
from wardlight_cloud.store.embedded.probe import Answer
from wardlight_cloud.store.embedded.remains import clear_remains
from wardlight_cloud.store.embedded.settings import server_arguments, tuned_settings

_SOCKET_PORT = 5432  # only part of the socket's file name while TCP is off


class ServerSteps:
    """One server's data folder, addresses and commands; starts nothing by itself.

    `tcp_port`: None for the Unix socket alone, 0 for a free port of 127.0.0.1, else that port.
    `durable=False` is for tests: it starts faster and may lose everything at a power cut.
    `settings` override what `wardlight.conf` would hold. `identity` and `shared_folder` are chosen
    well by themselves; tests name them. `start_within_s` bounds the server's silence: recovery
    after a crash, during which it answers, may take longer.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        tcp_port: int | None = None,
        durable: bool = True,
        database: str = "wardlight",
        settings: dict[str, str] | None = None,
        identity: Identity | None = None,
        shared_folder: Path = SHARED_FOLDER,
        start_within_s: float = 60.0,
        stop_within_s: float = 30.0,
    ) -> None:
        self.data_dir = data_dir.absolute()
        self.database = database
        self._tcp = tcp_port is not None
        self._port = tcp_port or (free_loopback_port() if self._tcp else _SOCKET_PORT)
        self._durable = durable
        self._settings = settings or {}
        self._identity = identity
        self._shared_folder = shared_folder
        self._start_within_s = start_within_s
        self._stop_within_s = stop_within_s
        self._lock = FolderLock(self.data_dir / "postgres.lock")
        self._password_file = self.data_dir / "postgres.password"
        self._placement: Placement | None = None
        self._address: Address | None = None

    @property
    def dsn(self) -> str:
        """The DSN of `database` over the Unix socket; from `prepare` on, over restarts too."""
        return self.dsn_of(self.database)

    def dsn_of(self, database: str) -> str:
        """The DSN of another database of this server."""
        return self._prepared_address().dsn(database)

    @property
    def tcp_dsn(self) -> str:
        """The DSN over 127.0.0.1, with the password in it; PostgresError when TCP is off."""
        if not self._tcp:
            raise PostgresError("This server has no TCP port; give tcp_port.")
        secret = quote(cluster.password(self._password_file), safe="")
        name = quote(self.database, safe="")
        return f"postgresql://{cluster.SUPERUSER}:{secret}@127.0.0.1:{self._port}/{name}"

    @property
    def port(self) -> int | None:
        """The TCP port, or None."""
        return self._port if self._tcp else None

    @property
    def socket_folder(self) -> Path:
        """The private folder of the Unix socket."""
        return self._prepared_address().folder

    @property
    def cluster_folder(self) -> Path:
        """PostgreSQL's own data folder (PGDATA)."""
        return self._prepared_placement().cluster

    @property
    def placement(self) -> Placement:
        """Cluster, account and programs; for backups and other programs of PostgreSQL."""
        return self._prepared_placement()

    def prepare(self) -> None:
        """Own the data folder, make the cluster on first use, choose the socket's folder. Blocking.

        Raises PostgresInUse when another living process owns the folder.
        """
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            self._lock.acquire()
        except FolderInUse as error:
            raise PostgresInUse(str(error)) from error
        try:
            self._prepare_owned()
        except BaseException:
            self.release()
            raise

    def before_start(self) -> None:
        """Clear what a dead server left and write the settings; before each start. Blocking."""
        placement = self._prepared_placement()
        clear_remains(placement.cluster, stop_within_s=self._stop_within_s)
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        tuned = tuned_settings(memory, durable=self._durable)
        cluster.configure(placement, {**tuned, **self._settings})

    def command(self) -> list[str]:
        """The command that becomes the server, tied to the life of the calling process."""
        placement = self._prepared_placement()
        arguments = server_arguments(
            cluster=placement.cluster,
            socket_folder=self._prepared_address().folder,
            port=self._port,
            tcp=self._tcp,
            durable=self._durable,
        )
        program = str(placement.binaries.path("postgres"))
        return placement.identity.command([program, *arguments], signal.SIGINT)

    def ask(self) -> Answer:
        """What the server says of itself now. Blocks for at most about two seconds."""
        return self._prepared_address().ask(self.database)

    def is_serving(self) -> bool:
        """Whether the server takes sessions now; as `ask`."""
        return self.ask() is Answer.SERVING

    def release(self) -> None:
        """Give up the data folder and remove the socket's folder; after the server has ended."""
        if self._address is not None:
            shutil.rmtree(self._address.folder, ignore_errors=True)
            (self.data_dir / NOTE).unlink(missing_ok=True)
            self._address = None
        self._lock.release()

    def _prepare_owned(self) -> None:
        if self._placement is None:
            self._placement = place(
                self.data_dir, identity=self._identity, shared_folder=self._shared_folder
            )
        self._remove_stale_socket_folder()
        _remove_nobodys_folders(self._placement.socket_folders)
        if not self._placement.exists:
            cluster.create(
                self._placement,
                superuser_password=cluster.password(self._password_file),
                database=self.database,
                durable=self._durable,
            )
        if self._address is None:
            self._address = Address(self._placement.new_socket_folder(), self._port)
            write_note(self.data_dir, self._address)

    def _remove_stale_socket_folder(self) -> None:
        """Remove the socket folder of an owner that was killed; the note of it names it."""
        left = read_note(self.data_dir) if self._address is None else None
        if left is not None and left.folder.name.startswith(SOCKET_FOLDER_PREFIX):
            shutil.rmtree(left.folder, ignore_errors=True)

    def _prepared_placement(self) -> Placement:
        if self._placement is None:
            raise PostgresError("The server is not prepared; call prepare() first.")
        return self._placement

    def _prepared_address(self) -> Address:
        if self._address is None:
            raise PostgresError("The server is not prepared; call prepare() first.")
        return self._address


def _remove_nobodys_folders(base: Path) -> None:
    """Remove what killed owners left behind whose data folders are gone: nobody else would."""
    for folder in base.glob(f"{SOCKET_FOLDER_PREFIX}*"):
        if is_nobodys(folder):
            shutil.rmtree(folder, ignore_errors=True)
