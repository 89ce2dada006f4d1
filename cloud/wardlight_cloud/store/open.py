"""Opens the store that the settings name: your own server, or the embedded one that runs already.

Starting the embedded server is the business of `wardlight-cloud all` and `wardlight demo`; every
other process finds it by the note in its data folder.
"""

import asyncio
from typing import Final

from wardlight_cloud.config import Settings
from wardlight_cloud.store import postgres
from wardlight_cloud.store.base import Store
from wardlight_cloud.store.embedded import PostgresError, running_dsn
from wardlight_shared.errors import StorageError

EMBEDDED_FOLDER: Final = "postgres"


async def open_store(settings: Settings) -> Store:
    """Open the store; an empty or older database is brought to this program's schema first.

    Processes that start together migrate once: the others wait. Raises StorageError when no server
    answers, ConfigError when the database is newer than this program or of another engine.
    """
    dsn = await _dsn(settings)
    database = settings.database
    await postgres.migrate(dsn, engine=database.engine)
    return await postgres.open_postgres(
        dsn,
        pool_size=database.pool_size,
        command_timeout_s=database.command_timeout_s,
        engine=database.engine,
    )


async def migrate_store(settings: Settings) -> int:
    """Bring the database to this program's schema; returns how many steps that took.

    Errors as ``open_store``.
    """
    return await postgres.migrate(await _dsn(settings), engine=settings.database.engine)


async def _dsn(settings: Settings) -> str:
    if settings.database.dsn is not None:
        return settings.database.dsn.get_secret_value()
    try:
        return await asyncio.to_thread(running_dsn, settings.data_dir / EMBEDDED_FOLDER)
    except PostgresError as error:
        raise StorageError(f"{error} Or set database.dsn to a server of your own.") from error
