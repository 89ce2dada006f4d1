"""Counters of the audit trail for Prometheus."""

from typing import Final

from prometheus_client import Counter

_NAME: Final = "wardlight_audit"

WRITTEN = Counter(f"{_NAME}_written", "Requests on record")
LOST = Counter(f"{_NAME}_lost", "Requests that could not be put on record")
