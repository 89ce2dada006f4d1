"""Counters of blobs for Prometheus; labels name kinds and outcomes, never what a blob is of."""

from typing import Final

from prometheus_client import Counter, Gauge

_NAME: Final = "wardlight_blobs"

MESSAGES = Counter(f"{_NAME}_messages", "Messages of gateways", ["kind"])
OCTETS = Counter(f"{_NAME}_octets", "Octets of chunks by what became of them", ["outcome"])
ANSWERS = Counter(f"{_NAME}_answers", "States that were worked out", ["kind", "status"])
WRONG_HASH = Counter(f"{_NAME}_wrong_hash", "Blobs whose octets had another hash")
ASIDE = Counter(f"{_NAME}_aside", "Blobs kept without an index entry", ["reason"])
REFUSED = Counter(f"{_NAME}_requests_refused", "Messages that were not let in", ["reason"])
HELD_BYTES = Gauge(f"{_NAME}_held_bytes", "Memory that messages take which are held")
ARRIVING = Gauge(f"{_NAME}_arriving", "Blobs that are arriving here")
