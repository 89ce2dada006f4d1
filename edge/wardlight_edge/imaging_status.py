"""What the imaging process says of itself to the rest of the gateway: one small file.

The process writes it every few seconds while it runs and removes it when it is told to stop; what
is old was left by one that died.

In/Out  <data_dir>/dicom/status.json, replaced whole; counts and times only
Errors  none: a file that is not there or not readable is None
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

FILE: Final = "dicom/status.json"
EVERY_S: Final = 2.0


class ImagingStatus(msgspec.Struct, frozen=True):
    """A moment of the imaging process.

    updated_ms     UTC of the file
    open           associations now; ``associations`` and what follows: since the start
    last_trouble   what was refused or broke off last, and when (UTC)
    free_bytes     of the disk, beyond what is kept free
    quota_bytes    of the spool, disk_bytes: of all its files
    waiting        items for the collector, ``waiting_bytes`` of them, the oldest since (UTC)
    rejected       items that the collector will not take
    damaged        items whose files are gone or spoilt; aside: files that do not open
    cloud_aside    items that the collector keeps and nobody sees, by the word for why
    databases_aside       databases of the spool that were damaged and set aside
    spool_error           why the spool cannot be used now; the counts are those of before
    worklist_entries      on the list that is held, ``worklist_age_s`` old; None = no list has come
                          yet, or its age is not known
    worklist_stale        the list is older than the site allows
    commitments_open      requests for storage commitment that are not reported yet
    commitments_given_up  ... whose requester could not be reached for days
    services_damaged      requests for commitment and events of procedure steps whose rows do not
                          open: set aside
    """

    port: int
    started_ms: int
    updated_ms: int
    memory_bytes: int
    free_bytes: int
    quota_bytes: int
    disk_bytes: int = 0
    waiting: int = 0
    waiting_bytes: int = 0
    oldest_ms: int | None = None
    rejected: int = 0
    damaged: int = 0
    aside: int = 0
    cloud_aside: Mapping[str, int] = {}
    databases_aside: int = 0
    spool_error: str | None = None
    open: int = 0
    associations: int = 0
    associations_refused: int = 0
    associations_aborted: int = 0
    stored: int = 0
    stored_bytes: int = 0
    known: int = 0
    conflicts: int = 0
    refused: int = 0
    worklist_entries: int | None = None
    worklist_age_s: float | None = None
    worklist_stale: bool = False
    commitments_open: int = 0
    commitments_given_up: int = 0
    services_damaged: int = 0
    last_stored_ms: int | None = None
    last_trouble: str | None = None
    last_trouble_ms: int | None = None


def write(data_dir: Path, status: ImagingStatus) -> None:
    """Replace the file; it is not synced: after a power cut it says nothing true anyway."""
    file = data_dir / FILE
    fresh = file.with_name(f"{file.name}.new")
    fresh.write_bytes(msgspec.json.encode(status))
    fresh.replace(file)


def remove(data_dir: Path) -> None:
    """The process was told to stop."""
    (data_dir / FILE).unlink(missing_ok=True)


def read(data_dir: Path) -> ImagingStatus | None:
    """What the imaging process said last."""
    try:
        octets = (data_dir / FILE).read_bytes()
        return msgspec.json.decode(octets, type=ImagingStatus)
    except (OSError, msgspec.DecodeError):
        return None
