"""What every part of the store is built on."""

from dataclasses import dataclass

from wardlight_cloud.store.postgres.connections import Connections
from wardlight_cloud.store.postgres.engine import Engine


@dataclass(frozen=True, slots=True)
class Database:
    """An opened database: ways to it, what it is, and the keys it keeps for us."""

    connections: Connections
    engine: Engine
    observation_key: bytes  # 16: of the ids of Observations
    cursor_key: bytes  # 32: of cursors


class Part:
    """Base of the parts that together are the store."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connections = database.connections
