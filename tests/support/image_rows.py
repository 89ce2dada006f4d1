"""Instances as the image index takes them, made without a DICOM file."""

import hashlib
from typing import Final

import orjson

from wardlight_cloud.store.image_arrivals import InstanceHeader, NewInstance, Source
from wardlight_cloud.store.imaging import MATCHABLE, Level

CT: Final = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT: Final = "1.2.840.10008.1.2.1"


def instance(
    sop_uid: str = "1.2.3.1.1",
    *,
    study: str = "1.2.3",
    series: str = "1.2.3.1",
    content: str = "",
    source: Source = Source("stow"),  # noqa: B008 - frozen
    sop_class: str = CT,
    patient: object = None,
    unmatched: str = "unknown",
    issuer: str = "",
    frames: tuple[tuple[tuple[int, int], ...], ...] = (),
    bulk: dict[str, tuple[int, int]] | None = None,
    **columns: str,
) -> NewInstance:
    """A new instance; ``content`` stands for the bytes, ``columns`` are matching keys."""
    columns.setdefault("Modality", "CT")
    sha256 = hashlib.sha256(f"{sop_uid} {content}".encode()).digest()
    header = InstanceHeader(
        study_uid=study,
        series_uid=series,
        sop_uid=sop_uid,
        sop_class=sop_class,
        transfer_syntax=EXPLICIT,
        patient_id=columns.get("PatientID", ""),
        issuer=columns.get("IssuerOfPatientID", ""),
        columns=columns,
        study=_json("0020000D", study, columns, Level.STUDY),
        series=_json("0020000E", series, columns, Level.SERIES),
        instance=_json("00080018", sop_uid, columns, Level.INSTANCE),
        header=_json("00080018", sop_uid, columns, Level.INSTANCE),
        frame_count=len(frames),
        frames=frames,
        bulk=bulk or {},
    )
    return NewInstance(sha256, 1000 + len(content), header, source, patient, unmatched, issuer)  # type: ignore[arg-type]


def _json(tag: str, uid: str, columns: dict[str, str], level: Level) -> bytes:
    """Attributes of a level: as long as what is said of it."""
    said = {key: text for key, text in sorted(columns.items()) if key in MATCHABLE[level]}
    return orjson.dumps({tag: {"vr": "UI", "Value": [uid]}, **said})
