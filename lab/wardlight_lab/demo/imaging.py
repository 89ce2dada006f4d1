"""What the demo's register says of images: who may query, and one examination that is ordered.

Idempotent, as register.py is.
"""

from datetime import datetime
from typing import Final

from wardlight_cloud.imaging.orders import OrderedStep, data_set_of, new_entry
from wardlight_cloud.store.base import Store
from wardlight_cloud.store.forwarding import DicomNode
from wardlight_cloud.store.orders import NewEntry
from wardlight_lab.demo.folder import GATEWAY
from wardlight_lab.demo.ward import PEOPLE, Person

MOVE_PORT: Final = 11113
CALLERS: Final = (
    "ECHOSCU", "FINDSCU", "GETSCU", "MOVESCU", "PYNETDICOM", "GDCMSCU", "ORTHANC", "OSIRIX",
    "WORKSTATION",
)  # fmt: skip
"""AE titles that may query: what DCMTK, pynetdicom, Orthanc and others call themselves."""

_MOVING: Final = "MOVESCU"
_ACCESSION: Final = "A-DEMO-1"
_STATION: Final = "US1"


async def fill(store: Store) -> None:
    """Write what is missing: nodes of this machine, and an order on the gateway's worklist."""
    for ae_title in CALLERS:
        port = MOVE_PORT if ae_title == _MOVING else None
        await store.put_node(DicomNode(ae_title, "127.0.0.1", port))
    if await store.order_of(_ACCESSION) is None:
        await store.put_entries([_order(PEOPLE[0])])


def _order(person: Person) -> NewEntry:
    step = OrderedStep(
        accession=_ACCESSION,
        name=f"{person.family}^{person.given}",
        patient_id=person.label.upper(),
        birth_date=f"{person.birth_date:%Y%m%d}",
        sex=person.gender[0].upper(),
        modality="US",
        station_ae=_STATION,
        start=f"{datetime.now().astimezone():%Y%m%d %H%M%S}",
        procedure="Abdominal ultrasound",
        step_id="1",
    )
    return new_entry(data_set_of(step), [GATEWAY], patient=person.patient_id)
