"""An embedded PostgreSQL: unmodified programs from a wheel or the system, our own lifecycle."""

from wardlight_cloud.store.embedded.address import running_dsn
from wardlight_cloud.store.embedded.binaries import Binaries, find_binaries, pg_bin
from wardlight_cloud.store.embedded.errors import PostgresError, PostgresInUse
from wardlight_cloud.store.embedded.server import EmbeddedPostgres

__all__ = [
    "Binaries",
    "EmbeddedPostgres",
    "PostgresError",
    "PostgresInUse",
    "find_binaries",
    "pg_bin",
    "running_dsn",
]
