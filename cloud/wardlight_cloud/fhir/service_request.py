"""An order of images as a ServiceRequest; a pure function.

The number of an order is the accession number of its images and the ServiceRequest's identifier.
Source  R4 4.0.1 ServiceRequest; SNOMED CT 363679005 Imaging (servicerequest-category)
"""

from typing import Any, Final

from wardlight_cloud.fhir.dicom_json import ACCESSION_TYPE, DCM, without_gaps
from wardlight_cloud.fhir.imaging_ids import TextIds
from wardlight_cloud.fhir.observation_texts import instant
from wardlight_cloud.store.order_reads import OrderRow

KIND: Final = "ServiceRequest"
SNOMED: Final = "http://snomed.info/sct"
IMAGING: Final = "363679005"


def version_of(row: OrderRow) -> str:
    """The microsecond of its last change."""
    return str(int(row.changed_at.timestamp() * 1_000_000))


def reference_to(accession: str, ids: TextIds) -> str:
    """A reference to the order of a number."""
    return f"{KIND}/{ids.id_of(accession)}"


def service_request(row: OrderRow, ids: TextIds) -> dict[str, Any]:
    """The resource. The clock of a modality says no offset, so the day alone is told."""
    day = row.starts[:8]
    return without_gaps(
        {
            "resourceType": KIND,
            "id": ids.id_of(row.accession),
            "meta": {"versionId": version_of(row), "lastUpdated": instant(row.changed_at)},
            "identifier": [{"type": ACCESSION_TYPE, "value": row.accession}],
            "status": row.status.value,
            "intent": "order",
            "category": [{"coding": [{"system": SNOMED, "code": IMAGING, "display": "Imaging"}]}],
            "code": {"text": f"Imaging, {' and '.join(row.modalities)}"},
            "orderDetail": [
                {"coding": [{"system": DCM, "code": modality}]} for modality in row.modalities
            ],
            "subject": {"reference": f"Patient/{row.patient}"},
            "occurrenceDateTime": f"{day[:4]}-{day[4:6]}-{day[6:]}" if day.isdecimal() else None,
            "authoredOn": instant(row.made_at),
        }
    )
