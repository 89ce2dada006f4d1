"""Counters of the DICOM process; labels hold no AE titles, UIDs or addresses."""

from typing import Final

from prometheus_client import Counter, Gauge

ASSOCIATIONS: Final = Counter(
    "wardlight_dicom_associations_total", "Associations asked for by peers", ["outcome"]
)
REQUESTS: Final = Counter("wardlight_dicom_requests_total", "Requests by service", ["service"])
CUT_OFF: Final = Counter(
    "wardlight_dicom_cut_off_total", "Connections ended for sending too much, or too slowly"
)
FORWARDED: Final = Counter(
    "wardlight_dicom_forwarded_total", "Attempts to forward an instance", ["outcome"]
)
WAITING: Final = Gauge("wardlight_dicom_forward_waiting", "Instances that wait to be forwarded")
DEAD: Final = Gauge("wardlight_dicom_forward_dead", "Instances whose forwarding was given up")
