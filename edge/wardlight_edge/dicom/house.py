"""What all associations of the imaging process share."""

import threading
from collections.abc import Callable, Mapping

import msgspec

from wardlight_edge.dicom.admission import AllowList, Refusal
from wardlight_edge.dicom.base import Service
from wardlight_edge.dicom.commitment_desk import CommitmentDesk
from wardlight_edge.dicom.negotiation import Acceptable
from wardlight_edge.dicom.tally import Tally
from wardlight_edge.imaging_settings import DicomSettings
from wardlight_edge.spool.receiving import SqliteReceivingSpool


class House(msgspec.Struct, frozen=True):
    """What all associations share.

    seats     a place for a calling AE title, given back by what it returns; Refusal = none is free
    stopping  set when associations have to end
    """

    settings: DicomSettings
    spool: SqliteReceivingSpool
    services: Mapping[str, Service]
    allowed: AllowList
    acceptable: Acceptable
    tally: Tally
    commitments: CommitmentDesk
    seats: Callable[[str], Callable[[], None] | Refusal]
    stopping: threading.Event
