"""What an embedded PostgreSQL can answer instead of serving.

PostgresError            it cannot start or stop; the text says what, where and what to do
└── PostgresInUse        the data folder belongs to a process that is alive
"""


class PostgresError(Exception):
    """The server could not be found, prepared, started or stopped."""


class PostgresInUse(PostgresError):
    """Another living process uses the data folder; starting a second server would destroy it."""
