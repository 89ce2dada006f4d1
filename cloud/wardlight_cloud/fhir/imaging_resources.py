"""Rows of the image index as ImagingStudy, DocumentReference and Observation; pure functions.

Source  R4 4.0.1 ImagingStudy, DocumentReference, Observation; PS3.4 B.5 (SOP classes); LOINC
        11524-6 EKG study, 18748-4 Diagnostic imaging study
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from wardlight_cloud.fhir.dicom_json import (
    ACCESSION_TYPE,
    DCM,
    URI_SYSTEM,
    Attributes,
    oid,
    uid_identifier,
    without_gaps,
)
from wardlight_cloud.fhir.imaging_ids import ImagingIds
from wardlight_cloud.fhir.observation_texts import instant
from wardlight_cloud.fhir.report_chains import NO_CHAINS, REPORT_CLASSES, Chains
from wardlight_cloud.fhir.vocabulary import CATEGORY, LOINC, UCUM
from wardlight_cloud.imaging.availability import Availability
from wardlight_cloud.store.imaging import ImageRow, InstanceRef

PDF_CLASSES: Final = ("1.2.840.10008.5.1.4.1.1.104.1",)
DOCUMENT_CLASSES: Final = PDF_CLASSES + REPORT_CLASSES
ECG_CLASSES: Final = tuple(f"1.2.840.10008.5.1.4.1.1.9.1.{number}" for number in (1, 2, 3, 4))
EKG_STUDY: Final = "11524-6"
PROCEDURE: Final = "procedure"
WAVEFORM_EXTENSION: Final = "urn:wardlight:fhir:waveform"
DELAY_EXTENSION: Final = "urn:wardlight:fhir:retrieval-delay"
"""How long it takes to get what lies in the second, slow place of images."""
AVAILABILITY_EXTENSION: Final = "urn:wardlight:fhir:instance-availability"
"""UNAVAILABLE: the file is known to be damaged or missing, and is not given out."""
_OFFSET: Final = "00080201"
_ACCESSION: Final = "00080050"
_DOCUMENT: Final = "00420011"  # Encapsulated Document
_DOCUMENT_KIND: Final = "00420012"  # its MIME type


@dataclass(frozen=True, slots=True)
class Makers:
    """What resources refer to: ids of each kind, and the address of DICOMweb.

    ``cold_s``: how long what lies in the slow place takes; None = there is no such place.
    """

    studies: ImagingIds
    documents: ImagingIds
    ecgs: ImagingIds
    dicomweb: str
    cold_s: int | None = None


def meta(row: ImageRow) -> dict[str, str]:
    """Version and time of the study's last change."""
    return {"versionId": str(row.commit_seq), "lastUpdated": instant(row.updated_at)}


def accession_of(row: ImageRow) -> str | None:
    """The accession number of a study."""
    return Attributes(row.study).text(_ACCESSION)


def imaging_study(
    row: ImageRow,
    series: Sequence[ImageRow],
    refs: Sequence[InstanceRef],
    makers: Makers,
    orders: Mapping[tuple[str, UUID], str],
    doubt: str = "",
) -> dict[str, Any]:
    """One study with its series and instances.

    ``orders``: references to orders that are known here, by number and patient.
    ``doubt``: what it says otherwise than the register of its patient (image_doubts.py).
    """
    study = Attributes(row.study)
    offset = study.text(_OFFSET)
    accession = study.text(_ACCESSION)
    known = None if accession is None or row.patient is None else (accession, row.patient)
    return without_gaps(
        {
            "resourceType": "ImagingStudy",
            "id": makers.studies.id_of(row.study_uid),
            "meta": meta(row),
            "extension": _delay(makers.cold_s, *refs),
            "identifier": [uid_identifier(row.study_uid), *_accession(accession)],
            "status": "available",
            "modality": [{"system": DCM, "code": code} for code in row.modalities if code],
            "subject": _subject(row),
            "started": study.moment("00080020", "00080030"),
            "basedOn": _order(accession, None if known is None else orders.get(known)),
            "referrer": _named(study.text("00080090")),
            "endpoint": [{"reference": f"Endpoint/{name}"} for name in ENDPOINTS],
            "numberOfSeries": row.study_series,
            "numberOfInstances": row.study_instances,
            "description": study.text("00081030"),
            "note": [*_noted(doubt), *_damage(refs)],
            "series": [_series(each, refs, offset) for each in series],
        }
    )


def _series(row: ImageRow, refs: Sequence[InstanceRef], offset: str | None) -> dict[str, Any]:
    attributes = Attributes(row.series)
    part = attributes.text("00180015")
    return without_gaps(
        {
            "uid": row.series_uid,
            "number": attributes.count("00200011"),
            "modality": {"system": DCM, "code": attributes.text("00080060") or "OT"},
            "description": attributes.text("0008103E"),
            "numberOfInstances": row.series_instances,
            "bodySite": {"display": part} if part else None,
            "started": attributes.moment("00080021", "00080031", offset=offset),
            "instance": [_instance(ref) for ref in refs if ref.series_uid == row.series_uid],
        }
    )


def _instance(ref: InstanceRef) -> dict[str, Any]:
    number = ref.number if ref.number is not None and ref.number >= 0 else None
    return without_gaps(
        {
            "extension": _unavailable(ref),
            "uid": ref.sop_uid,
            "sopClass": {"system": URI_SYSTEM, "code": oid(ref.sop_class)},
            "number": number,
        }
    )


def document_reference(
    row: ImageRow, makers: Makers, doubt: str = "", reports: Chains = NO_CHAINS
) -> dict[str, Any]:
    """A report or PDF that came as a DICOM object.

    ``doubt`` as of a study: R4 has no note here. ``reports``: of the study, as far as there are.
    """
    ref = _ref(row)
    series, instance = Attributes(row.series), Attributes(row.instance)
    title = series.text("0008103E") or instance.text("00420010")
    return without_gaps(
        {
            "resourceType": "DocumentReference",
            "id": makers.documents.id_of(ref.sop_uid),
            "meta": meta(row),
            "masterIdentifier": uid_identifier(ref.sop_uid),
            "status": "superseded" if ref.sop_uid in reports.superseded else "current",
            "docStatus": _doc_status(instance),
            "type": _document_type(instance, title, ref),
            "category": [{"coding": [_IMAGING]}],
            "subject": _subject(row),
            "date": instant(ref.stored_at),
            "relatesTo": _predecessors(ref.sop_uid, reports, makers),
            "description": doubt,
            "content": [{"attachment": each} for each in _attachments(row, ref, makers, title)],
            "context": {"related": [_study_reference(row, makers)]},
        }
    )


def _predecessors(uid: str, reports: Chains, makers: Makers) -> list[dict[str, Any]]:
    """By id those of the same study; others may be anybody's, and are told by their UID."""
    code = "replaces" if uid in reports.complete else "appends"
    return [
        {"code": code, "target": {
            "type": "DocumentReference",
            "identifier": uid_identifier(each),
            **({"reference": f"DocumentReference/{makers.documents.id_of(each)}"}
               if each in reports.known else {}),
        }}
        for each in reports.before.get(uid, ())
    ]  # fmt: skip


_IMAGING: Final = {"system": LOINC, "code": "18748-4", "display": "Diagnostic imaging study"}


def _doc_status(instance: Attributes) -> str | None:
    """Completion and Verification Flag (PS3.3 C.17.2); a PDF has neither."""
    completion, verification = instance.text("0040A491"), instance.text("0040A493")
    if completion == "PARTIAL":
        return "preliminary"
    return "final" if (completion, verification) == ("COMPLETE", "VERIFIED") else None


def _document_type(instance: Attributes, title: str | None, ref: InstanceRef) -> dict[str, Any]:
    code = instance.coded("0040A043")
    plain = "Encapsulated PDF" if ref.sop_class in PDF_CLASSES else "Structured report"
    found: dict[str, Any] = {"text": (code or {}).get("meaning") or title or plain}
    if code is not None and code.get("scheme") == "LN" and "value" in code:
        found["coding"] = [{"system": LOINC, "code": code["value"]}]
    if code is not None and code.get("scheme") == "DCM" and "value" in code:
        found["coding"] = [{"system": DCM, "code": code["value"]}]
    return found


def _attachments(
    row: ImageRow, ref: InstanceRef, makers: Makers, title: str | None
) -> list[dict[str, Any]]:
    address = instance_address(ref, makers)
    created = Attributes(row.instance).moment(
        "00080023", "00080033", offset=Attributes(row.study).text(_OFFSET)
    )
    whole = {"contentType": "application/dicom", "url": address, "size": ref.size}
    found = [whole]
    if ref.sop_class in PDF_CLASSES:
        found = [
            {"contentType": _document_kind(row), "url": f"{address}/bulkdata/{_DOCUMENT}"},
            whole,
        ]
    slow = {"extension": [*(_delay(makers.cold_s, ref) or ()), *(_unavailable(ref) or ())]}
    return [without_gaps({**slow, **each, "title": title, "creation": created}) for each in found]


def _document_kind(row: ImageRow) -> str:
    """As /dicom-web answers there: only what says that it is a PDF is called one."""
    said = Attributes(row.instance).text(_DOCUMENT_KIND) or ""
    return said.lower() if said.lower() == "application/pdf" else "application/octet-stream"


def ecg_observation(row: ImageRow, makers: Makers, doubt: str = "") -> dict[str, Any]:
    """A recorded ECG: what it is of, and where its waveform is; its samples stay DICOM."""
    ref = _ref(row)
    instance, study = Attributes(row.instance), Attributes(row.study)
    offset = study.text(_OFFSET)
    return without_gaps(
        {
            "resourceType": "Observation",
            "id": makers.ecgs.id_of(ref.sop_uid),
            "meta": meta(row),
            "extension": [
                {"url": WAVEFORM_EXTENSION, "valueUrl": instance_address(ref, makers)},
                *(_delay(makers.cold_s, ref) or ()),
                *(_unavailable(ref) or ()),
            ],
            "identifier": [uid_identifier(ref.sop_uid)],
            "status": "final",
            "category": [{"coding": [{"system": CATEGORY, "code": PROCEDURE}]}],
            "code": {"coding": [{"system": LOINC, "code": EKG_STUDY, "display": "EKG study"}]},
            "subject": _subject(row),
            "effectiveDateTime": (
                instance.taken("0008002A", offset=offset)
                or instance.moment("00080023", "00080033", offset=offset)
                or study.moment("00080020", "00080030")
            ),
            "issued": instant(ref.stored_at),
            "note": _noted(doubt),
            "derivedFrom": [_study_reference(row, makers)],
        }
    )


def instance_address(ref: InstanceRef, makers: Makers) -> str:
    """Where DICOMweb has an instance."""
    study, series = ref.study_uid, ref.series_uid
    return f"{makers.dicomweb}/studies/{study}/series/{series}/instances/{ref.sop_uid}"


ENDPOINTS: Final = {"dicom-wado-rs": "WADO-RS", "dicom-qido-rs": "QIDO-RS"}
"""Ids of our Endpoints, which are also their connection types, and what they are called."""


def endpoint(name: str, dicomweb: str, cold_s: int | None = None) -> dict[str, Any]:
    """An Endpoint of our DICOMweb; ``cold_s`` as in Makers."""
    slow = {} if cold_s is None else {"extension": [_delay_of(cold_s)]}
    return {
        "resourceType": "Endpoint",
        "id": name,
        **slow,
        "status": "active",
        "connectionType": {
            "system": "http://terminology.hl7.org/CodeSystem/endpoint-connection-type",
            "code": name,
        },
        "name": f"Wardlight {ENDPOINTS[name]}",
        "payloadType": [{"text": "DICOM"}],
        "payloadMimeType": ["application/dicom"],
        "address": dicomweb,
    }


def _delay(cold_s: int | None, *refs: InstanceRef) -> list[dict[str, Any]] | None:
    """What says that some of these lie in the slow place; None where none does."""
    is_slow = cold_s is not None and any(ref.tier == "cold" for ref in refs)
    return [_delay_of(cold_s or 0)] if is_slow else None


def _delay_of(cold_s: int) -> dict[str, Any]:
    duration = {"value": cold_s, "unit": "s", "system": UCUM, "code": "s"}
    return {"url": DELAY_EXTENSION, "valueDuration": duration}


def _unavailable(ref: InstanceRef) -> list[dict[str, Any]] | None:
    """What says that a file is not given out; None where it is."""
    if not ref.is_doubted:
        return None
    return [{"url": AVAILABILITY_EXTENSION, "valueCode": str(Availability.UNAVAILABLE)}]


def _damage(refs: Sequence[InstanceRef]) -> list[dict[str, str]]:
    """The same for people who read a study; R4 has no element for it."""
    doubted = sum(ref.is_doubted for ref in refs)
    if not doubted:
        return []
    text = (
        f"A check found the stored files of {doubted} of {len(refs)} instances damaged or missing: "
        "they are not given out until the operator has put them right, or they come again."
    )
    return _noted(text)


def _noted(text: str) -> list[dict[str, str]]:
    return [{"text": text}] if text else []


def _subject(row: ImageRow) -> dict[str, str]:
    return {"reference": f"Patient/{row.patient}"}


def _study_reference(row: ImageRow, makers: Makers) -> dict[str, str]:
    return {"reference": f"ImagingStudy/{makers.studies.id_of(row.study_uid)}"}


def _accession(number: str | None) -> list[dict[str, Any]]:
    return [] if number is None else [{"type": ACCESSION_TYPE, "value": number}]


def _order(number: str | None, reference: str | None) -> list[dict[str, Any]]:
    """The accession number is the number of the order (ServiceRequest.identifier)."""
    return [
        without_gaps({"reference": reference, "type": "ServiceRequest", "identifier": identifier})
        for identifier in _accession(number)
    ]


def _named(name: str | None) -> dict[str, str] | None:
    return None if name is None else {"display": " ".join(name.replace("^", " ").split())}


def _ref(row: ImageRow) -> InstanceRef:
    if row.ref is None:
        raise ValueError("a row of an instance is needed")
    return row.ref
