"""Files of images as they come to the index: where from, what their header says, what became of it.

The calls that take and give these values are in store/imaging.py's ImageStore.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Source:
    """Where an instance came from; all of it may be empty but ``way``.

    ``assumed_issuer``: who gave out its patient id where it does not say, in the words of who
    brought it; "" = nobody knows, None = as the settings say.
    """

    way: Literal["gateway", "stow", "import", "dimse"]
    gateway: str | None = None
    spool: int | None = None
    item: int | None = None
    calling_ae: str = ""
    called_ae: str = ""
    peer: str = ""
    received_at: datetime | None = None
    assumed_issuer: str | None = None


@dataclass(frozen=True, slots=True)
class InstanceHeader:
    """What imaging/header.py finds in a DICOM file; the columns that queries match on.

    ``study``, ``series``, ``instance``: DICOM JSON objects of the level's attributes, without
    counts. ``header``: DICOM JSON of the whole data set. Octets over 1 KiB but for waveforms, texts
    and numbers over 64 KiB, pixel data and encapsulated documents are
    ``{"BulkDataURI": "@/<tag path>"}``, where ``@`` stands for the instance's bulkdata address; a
    path is ``7FE00010``, or ``00540016/0/00181072``: tag, item from 0, tag.
    ``frames``: (offset, length) in the file, of the fragments of each frame; () = no pixel data, or
    none that can be found in the file as it is (deflated, or damaged).
    ``bulk``: tag path -> (offset, length) in the file, of the values that ``header`` leaves out but
    for pixel data; a path that is not there (deflated, nested in what is) has to be parsed for.
    ``columns``: matching keys as text, keyword -> value as matched: PN upper-case without accents,
    DA ``YYYYMMDD``, TM ``HHMMSS.ffffff``, multiple values joined by backslash.
    ``meta_uid``, ``meta_class``: SOP Instance and Class UID as the file's meta information has
    them, "" where it does not; all else here is the data set's.
    """

    study_uid: str
    series_uid: str
    sop_uid: str
    sop_class: str
    transfer_syntax: str
    patient_id: str
    issuer: str
    columns: Mapping[str, str]
    study: bytes
    series: bytes
    instance: bytes
    header: bytes
    rows: int = 0
    columns_px: int = 0
    frame_count: int = 0
    frames: tuple[tuple[tuple[int, int], ...], ...] = ()
    bulk: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    meta_uid: str = ""
    meta_class: str = ""


UnmatchedReason = Literal[
    "unknown", "ambiguous", "order-differs", "birth-date-differs", "name-differs"
]
"""Why nobody of the register has a study."""


@dataclass(frozen=True, slots=True)
class NewInstance:
    """An object that is durable in the object store, to be put on the index.

    ``patient``: whose it is by the register or an order; without one ``unmatched`` says why. What
    an operator has said of the study stands above both. ``issuer``: who gave out its patient id,
    as the register writes it, "" = not known; with the patient id it tells one person of another.
    ``registered``: the birth date of ``patient`` in the register, YYYYMMDD, "" = not known.
    """

    sha256: bytes
    size: int
    header: InstanceHeader
    source: Source
    patient: UUID | None = None
    unmatched: UnmatchedReason = "unknown"
    issuer: str = ""
    registered: str = ""


class PutOutcome(StrEnum):
    """What became of a NewInstance."""

    STORED = "stored"
    KNOWN = "known"  # this file was there already: nothing but the audit row was written
    CONFLICT = "conflict"  # another file has its SOP Instance UID: kept as a version beside it


@dataclass(frozen=True, slots=True)
class KnownFile:
    """What a file on the index is of. ``sop_class``: "" where the index does not say it."""

    sop_uid: str
    sop_class: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """The file of an instance, by its hash."""

    sha256: bytes
    size: int
