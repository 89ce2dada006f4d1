"""Opens the store that the settings name: your own server, or the embedded one that runs already.

Starting the embedded server is the business of `wardlight-cloud all` and `wardlight demo`; every
other process finds it by the note in its data folder.
"""

from pathlib import Path
from typing import Final
from urllib.parse import quote

from wardlight_cloud.config import Settings
from wardlight_cloud.store import postgres
from wardlight_cloud.store.base import Store
from wardlight_shared.errors import StorageError

EMBEDDED_FOLDER: Final = "postgres"
_NOTE: Final = "postgres.socket"  # written by store/embedded: folder of the socket, then the port
_NAME: Final = "wardlight"  # account and database of the embedded server


async def open_store(settings: Settings) -> Store:
    """Open the store; an empty or older database is brought to this program's schema first.

    Processes that start together migrate once: the others wait. Raises StorageError when no server
    answers, ConfigError when the database is newer than this program or of another engine.
    """
    await migrate_store(settings)
    database = settings.database
    return await postgres.open_postgres(
        dsn_of(settings),
        pool_size=database.pool_size,
        command_timeout_s=database.command_timeout_s,
        engine=database.engine,
    )


async def migrate_store(settings: Settings) -> int:
    """Bring the database to this program's schema; returns how many steps that took.

    Errors as ``open_store``.
    """
    return await postgres.migrate(dsn_of(settings), engine=settings.database.engine)


def dsn_of(settings: Settings) -> str:
    """``database.dsn``, or the address of the embedded server; StorageError when none runs."""
    if settings.database.dsn is not None:
        return settings.database.dsn.get_secret_value()
    return embedded_dsn(settings.data_dir / EMBEDDED_FOLDER)


def embedded_dsn(folder: Path) -> str:
    """The address of the embedded server of a folder; StorageError when none runs there."""
    try:
        host, port = (folder / _NOTE).read_text(encoding="utf-8").split("\n")[:2]
    except (OSError, ValueError) as error:
        raise StorageError(
            f"No embedded database runs in {folder}. Start `wardlight-cloud all`, or set "
            "database.dsn to a server of your own."
        ) from error
    return f"postgresql://{_NAME}@/{_NAME}?host={quote(host, safe='')}&port={port}"
