"""The imaging process on the status page and in the health record: sentences and counts; pure."""

from typing import Final

from wardlight_edge.imaging_status import ImagingStatus

SILENT_S: Final = 30.0
"""The process writes every 2 s; a busy disk may take its time."""
WARN: Final = 0.8
_FULL: Final = 0.95


def trouble(status: ImagingStatus, now_ms: int) -> list[str]:
    """Sentences that say what is wrong and what to do; [] when all is well."""
    silent_s = (now_ms - status.updated_ms) / 1000
    found = [
        f"The imaging process has not reported for {int(silent_s)} s: modalities cannot send. "
        "Start `wardlight-edge dicom`; its log says why it ended."
        if silent_s > SILENT_S
        else None,
        f"The spool of images cannot be used now ({status.spool_error}): modalities are refused "
        "and keep their images."
        if status.spool_error is not None
        else _room_trouble(status),
        f"{status.rejected} images were refused by the collector and stay here; "
        "`wardlight-edge dicom items` says why, `dicom retry` offers them again."
        if status.rejected
        else None,
        f"{cloud_aside(status)} images were set aside in the cloud ({why_aside(status)}): they are "
        "kept there and nobody sees them. `wardlight-edge dicom items` lists them; have them sent "
        "again as they should be, then `dicom drop` ends this message."
        if status.cloud_aside
        else None,
        f"{status.damaged} images are damaged on this disk and cannot be delivered: send them "
        "again from the modality, or give them up with `wardlight-edge dicom drop`."
        if status.damaged
        else None,
        f"{status.databases_aside} damaged databases of the spool were set aside; what could be "
        "read was taken over, modalities may have to send steps and ask for commitment again. "
        "`wardlight-edge dicom items` lists them, `dicom drop` ends this message."
        if status.databases_aside
        else None,
        f"{status.aside} files of images do not open and were set aside: "
        "see `wardlight-edge dicom items`."
        if status.aside
        else None,
        "The worklist is older than this site allows, and modalities are told so. "
        "Restore the uplink."
        if status.worklist_stale and status.worklist_entries
        else None,
        f"{status.commitments_given_up} reports of storage commitment could not be delivered: look "
        "at report_host of the modalities; they may ask again."
        if status.commitments_given_up
        else None,
        f"{status.services_damaged} events of procedure steps or requests for commitment cannot be "
        "read from this disk: see `wardlight-edge dicom items`."
        if status.services_damaged
        else None,
    ]
    return [sentence for sentence in found if sentence is not None]


def cloud_aside(status: ImagingStatus) -> int:
    """How many images the cloud keeps that nobody sees."""
    return sum(status.cloud_aside.values())


def why_aside(status: ImagingStatus) -> str:
    """Why they were set aside: words and how many of each."""
    return ", ".join(f"{word} {count}" for word, count in sorted(status.cloud_aside.items()))


def level(status: ImagingStatus) -> str:
    """How full the spool is, in the words of the outbox: normal, warn, full."""
    if status.disk_bytes >= status.quota_bytes * _FULL or status.free_bytes == 0:
        return "full"
    return "warn" if status.disk_bytes >= status.quota_bytes * WARN else "normal"


def _room_trouble(status: ImagingStatus) -> str | None:
    match level(status):
        case "full":
            return (
                "The disk or the quota for images is full: modalities are refused and keep their "
                "images. Restore the uplink or free disk."
            )
        case "warn":
            used = int(100 * status.disk_bytes / status.quota_bytes)
            return f"The quota for images is {used} % full. Restore the uplink."
        case _:
            return None


def health(status: ImagingStatus | None) -> dict[str, str | int | bool | None]:
    """What the health record tells the cloud; {} where no imaging runs."""
    if status is None:
        return {}
    return {
        "images_waiting": status.waiting,
        "images_waiting_bytes": status.waiting_bytes,
        "images_oldest_ms": status.oldest_ms,
        "images_rejected": status.rejected,
        "images_damaged": status.damaged,
        "images_aside": status.aside,
        "images_cloud_aside": cloud_aside(status),
        "images_refused": status.refused,
        "images_conflicts": status.conflicts,
        "images_disk_bytes": status.disk_bytes,
        "images_level": level(status),
        "images_unusable": status.spool_error is not None,
        "images_databases_aside": status.databases_aside,
        "worklist_entries": status.worklist_entries,
        "worklist_stale": status.worklist_stale,
        "commitments_open": status.commitments_open,
        "commitments_given_up": status.commitments_given_up,
        "services_damaged": status.services_damaged,
    }
