"""Counters of the collector for Prometheus; labels name lanes and reasons, never a patient.

They stand in the process's default registry. ``wardlight-cloud collect --metrics-port N`` serves
them on 127.0.0.1.
"""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

_NAME: Final = "wardlight_ingest"

MESSAGES = Counter(f"{_NAME}_messages", "Messages received", ["kind"])
REFUSED = Counter(f"{_NAME}_refused", "Messages not stored, and not acknowledged", ["reason"])
UNREADABLE = Counter(f"{_NAME}_unreadable", "Messages without a readable header")
ROWS = Counter(f"{_NAME}_rows", "Readings by what became of them", ["outcome"])
RECORDS_KNOWN = Counter(f"{_NAME}_records_known", "Records that were in the ledger already")
RECORDS_REJECTED = Counter(f"{_NAME}_records_rejected", "Records sent to the dead letters")
ACKS = Counter(f"{_NAME}_acks", "Acknowledgements published")
UNSENT = Counter(f"{_NAME}_unsent", "Messages down that no connection took")
STORE_FAILURES = Counter(f"{_NAME}_store_failures", "Calls that the store refused", ["kind"])
COMMIT_SECONDS = Histogram(
    f"{_NAME}_commit_seconds",
    "One transaction, from call to COMMIT",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
QUEUE_DEPTH = Gauge(f"{_NAME}_queue_depth", "Envelopes received and not yet opened")
OLDEST_SECONDS = Gauge(f"{_NAME}_oldest_seconds", "Age of the oldest envelope in the queue")
SHARDS_HELD = Gauge(f"{_NAME}_shards_held", "Shards this collector holds a lease of")
BROKER_CONNECTED = Gauge(f"{_NAME}_broker_connected", "1 while connected to the broker")
