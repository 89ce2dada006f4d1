"""What the store tells Prometheus of its connections to the database."""

from prometheus_client import Gauge

IN_USE = Gauge(
    "wardlight_database_connections_in_use",
    "Connections of the pool that a call has",
    multiprocess_mode="livesum",
)
MOST = Gauge(
    "wardlight_database_connections_max",
    "Connections that the pool may have",
    multiprocess_mode="livesum",
)
WAITING = Gauge(
    "wardlight_database_calls_waiting",
    "Calls that wait for a connection",
    multiprocess_mode="livesum",
)
