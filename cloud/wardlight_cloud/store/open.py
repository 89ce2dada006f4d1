"""Opens the store that the settings name: your own server, or the embedded one that runs already.

Starting the embedded server is the business of `wardlight-cloud all` and `wardlight demo`; every
other process finds it by the note in its data folder.
"""

import asyncio
import logging
from typing import Final

from wardlight_cloud.config import Settings
from wardlight_cloud.store import postgres
from wardlight_cloud.store.base import Store
from wardlight_cloud.store.embedded import PostgresError, running_dsn
from wardlight_shared.errors import StorageError

_log = logging.getLogger(__name__)
EMBEDDED_FOLDER: Final = "postgres"
_PAUSE_S: Final = 1.0


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


async def migrate_store(settings: Settings, *, wait_s: float = 0.0) -> int:
    """Bring the database to this program's schema; returns how many steps that took.

    Tries again for ``wait_s`` while the database is away. Errors as ``open_store``.
    """
    give_up_at = asyncio.get_running_loop().time() + wait_s
    while True:
        try:
            return await _migrate_once(settings)
        except StorageError as error:
            left_s = give_up_at - asyncio.get_running_loop().time()
            if left_s <= 0:
                raise
            about = {"error": str(error), "for_s": round(left_s)}
            _log.warning("waiting for the database", extra=about)
            await asyncio.sleep(min(_PAUSE_S, left_s))


async def _migrate_once(settings: Settings) -> int:
    return await postgres.migrate(await _dsn(settings), engine=settings.database.engine)


async def _dsn(settings: Settings) -> str:
    if settings.database.dsn is not None:
        return settings.database.dsn.get_secret_value()
    try:
        return await asyncio.to_thread(running_dsn, settings.data_dir / EMBEDDED_FOLDER)
    except PostgresError as error:
        raise StorageError(
            f"{error} Or name a server of your own: database.dsn in the settings file, "
            "WARDLIGHT_DATABASE__DSN in the environment, or, where the services get it from a "
            "file, `sudo wardlight-cloud ... --env-file /etc/wardlight/cloud.env`."
        ) from error
