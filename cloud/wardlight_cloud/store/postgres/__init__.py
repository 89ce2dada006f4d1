"""The store on PostgreSQL 15 and newer, with TimescaleDB or without; only this uses the driver."""

from wardlight_cloud.store.postgres.migrations import migrate
from wardlight_cloud.store.postgres.opening import open_postgres
from wardlight_cloud.store.postgres.store import PostgresStore

__all__ = ["PostgresStore", "migrate", "open_postgres"]
