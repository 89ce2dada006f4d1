"""Counters of the image store for Prometheus; labels name outcomes and reasons, never an image."""

from typing import Final

from prometheus_client import Counter, Histogram

_NAME: Final = "wardlight_images"

TAKEN = Counter(f"{_NAME}_taken", "Files put on the index, by what became of them", ["outcome"])
REFUSED = Counter(f"{_NAME}_refused", "Files that are no DICOM instance", ["reason"])
HEADER_SECONDS = Histogram(
    f"{_NAME}_header_seconds",
    "Reading one header, waiting for a process included",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
CHECKED = Counter(f"{_NAME}_checked", "Objects whose hash was checked, by finding", ["finding"])
REMOVED = Counter(f"{_NAME}_removed", "Instances that a retention rule removed")
MOVED = Counter(f"{_NAME}_moved", "Objects moved to the second place")
READS = Counter(f"{_NAME}_reads", "Requests for images whose reader is on record")
READS_LOST = Counter(f"{_NAME}_reads_lost", "Rows of readers that could not be put on record")
