"""Parameters of R4 by which orders and documents that are made here are found, too.

The handlers of these kinds know the parameters of fhir.md; all others are looked at in what each
resource says.
"""

from collections.abc import AsyncIterator
from uuid import UUID

import httpx
import pytest

from support.dicom_files import bundled, image, octets_of
from support.image_stock import image_stock
from support.served_ward import ANNA, BERT, Ward
from wardlight_cloud.store.orders import NewEntry

PDF = "1.2.840.10008.5.1.4.1.1.104.1"


def order(accession: str, patient: UUID) -> NewEntry:
    return NewEntry(
        accession=accession, step_id="1", study_uid=f"1.2.{sum(accession.encode())}",
        patient=patient, patient_id=accession, issuer="", modality="CT", station_ae="CT1",
        starts="20260203 080000", gateways=("gw-imaging",), data_set=b"x",
    )  # fmt: skip


@pytest.fixture
async def stock(ward: Ward) -> AsyncIterator[None]:
    """Anna has a report, a letter and two orders; Bert an order that was revoked."""
    letter = image(
        SOPClassUID=PDF, Modality="DOC", DocumentTitle="Letter", AccessionNumber="A-77",
        MIMETypeOfEncapsulatedDocument="application/pdf", EncapsulatedDocument=b"%PDF-1.4\n",
        StudyDate="20260203", TimezoneOffsetFromUTC="+0100",
    )  # fmt: skip
    del letter.PixelData
    async with image_stock(ward.store, ward.settings) as stock:
        await stock.add(bundled("test-SR.dcm"), patient=ANNA)
        await stock.add(octets_of(letter), patient=ANNA)
        await ward.store.put_gateway("gw-imaging")
        await ward.store.put_entries([order("A-77", ANNA), order("A-78", ANNA), order("B-1", BERT)])
        await ward.store.remove_entries("B-1")
        yield


OF_R4 = (
    ("ServiceRequest", "intent", "order", 3, "plan"),
    ("ServiceRequest", "order-detail:missing", "true", 3, "false"),
    ("ServiceRequest", "authored", "ge2026-01-01", 3, "gt2030"),
    ("ServiceRequest", "occurrence", "2026-02-03", 3, "2026-02-04"),
    ("ServiceRequest", "code:missing", "true", 3, "false"),
    ("ServiceRequest", "priority:missing", "true", 3, "false"),
    ("ServiceRequest", "priority:not", "urgent", 3, None),
    ("DocumentReference", "category", "http://loinc.org|18748-4", 2, "urn:other|18748-4"),
    ("DocumentReference", "date", "gt2026-01-01", 2, "gt2100"),
    ("DocumentReference", "contenttype", "application/pdf", 1, "text/plain"),
    ("DocumentReference", "type", "http://loinc.org|", None, "00000-0"),
    ("DocumentReference", "type:not", "00000-0", 2, None),
    ("DocumentReference", "_tag:missing", "true", 2, "false"),
)
"""Kind, parameter, a value, how many it finds (None: not said), and a value that finds none."""


async def test_what_r4_has_beside_narrows_too(ward: Ward, stock: None) -> None:
    """As in resources that others wrote: by what the resource says."""
    async with ward.client() as client:
        for kind, name, some, number, none in OF_R4:
            for more in ({}, {"_count": "1"}, {"_sort": "_lastUpdated"}):
                seen = await walked(client, kind, {name: some, **more})
                assert number is None or len(seen) == number, (kind, name, more)
                if none is not None:
                    assert not await walked(client, kind, {name: none, **more}), (kind, name)
            strict = {"Prefer": "handling=strict"}
            answer = await client.get(f"/fhir/{kind}", params={name: some}, headers=strict)
            assert answer.status_code == 200, (kind, name)
            counted = await client.get(f"/fhir/{kind}", params={name: some, "_total": "accurate"})
            assert counted.status_code == 400, (kind, name)
        both = {"patient": str(BERT), "intent": "order", "status": "revoked"}
        assert len(await walked(client, "ServiceRequest", both)) == 1


async def walked(client: httpx.AsyncClient, kind: str, query: dict[str, str]) -> list[str]:
    """Ids on all pages, none of which is empty while others follow."""
    ids: list[str] = []
    following: str | None = str(httpx.URL(f"/fhir/{kind}", params=query))
    while following is not None:
        answer = await client.get(following)
        assert answer.status_code == 200, answer.text
        page = [each["resource"]["id"] for each in answer.json().get("entry", [])]
        ids += page
        links = {each["relation"]: each["url"] for each in answer.json()["link"]}
        following = links.get("next")
        assert following is None or page
    assert len(ids) == len(set(ids))
    return ids
