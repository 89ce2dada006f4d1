"""Where a server can be reached: its DSN, and the note by which other processes find it.

The note `postgres.socket` in the data folder holds two lines, the socket's folder and its port. It
is there while the server's owner lives, and left behind when the owner was killed. The socket's
folder names the data folder in turn, in its file `owner`: where the two do not name one another,
the socket's folder is nobody's.
"""

import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from wardlight_cloud.store.embedded.cluster import SUPERUSER
from wardlight_cloud.store.embedded.errors import PostgresError
from wardlight_cloud.store.embedded.probe import Answer, probe

NOTE = "postgres.socket"
OWNER = "owner"
_ANSWER_WITHIN_S = 1.0


@dataclass(frozen=True)
class Address:
    """A server's Unix socket."""

    folder: Path
    port: int

    def dsn(self, database: str) -> str:
        """The DSN of a database, as asyncpg and libpq read it."""
        host, name = quote(str(self.folder), safe=""), quote(database, safe="")
        return f"postgresql://{SUPERUSER}@/{name}?host={host}&port={self.port}"

    def ask(self, database: str) -> Answer:
        """What the server says of itself now. Blocks for at most about two seconds."""
        return probe(self.folder / f".s.PGSQL.{self.port}", SUPERUSER, database)


def write_note(data_dir: Path, address: Address) -> None:
    """Let other processes find the server; the folder's owner comes last, see `is_nobodys`."""
    (data_dir / NOTE).write_text(f"{address.folder}\n{address.port}\n")
    (address.folder / OWNER).write_text(f"{data_dir}\n")


def is_nobodys(socket_folder: Path) -> bool:
    """Whether a socket's folder was left behind by an owner that is gone with its data folder.

    False for one that names no owner (yet), and where a server answers.
    """
    try:
        data_dir = Path((socket_folder / OWNER).read_text().rstrip("\n"))
    except (OSError, UnicodeDecodeError):
        return False
    note = read_note(data_dir)
    is_named = note is not None and note.folder == socket_folder
    return not is_named and not any(map(_answers, socket_folder.glob(".s.PGSQL.*[0-9]")))


def _answers(file: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_ANSWER_WITHIN_S)
        try:
            connection.connect(str(file))
        except OSError as error:
            return isinstance(error, TimeoutError)
    return True


def read_note(data_dir: Path) -> Address | None:
    """The address in the note, which need not be that of a living server."""
    try:
        folder, port = (data_dir / NOTE).read_text().splitlines()
        return Address(Path(folder), int(port))
    except (OSError, ValueError):
        return None


def running_dsn(data_dir: Path, database: str = "wardlight") -> str:
    """The DSN of the server that another process runs for `data_dir`, for a command line.

    Raises PostgresError when none serves.
    """
    address = read_note(data_dir)
    if address is None or address.ask(database) is not Answer.SERVING:
        raise PostgresError(f"No database server runs for {data_dir}. Start Wardlight there first.")
    return address.dsn(database)
