"""A subscription's events are what a search with the same criteria finds."""

import httpx

from support.readings import One
from support.served_ward import ANNA, BERT, CLIP, CUFF, MINUTE, SCALE, START, Ward
from support.stored_resources import created, found, observation, task
from wardlight_cloud.fhir import isolation
from wardlight_cloud.fhir.stored.asker import Asker
from wardlight_cloud.fhir.stored.index_values import index_values
from wardlight_cloud.fhir.subscriptions.definition import TOPICS, definition
from wardlight_cloud.fhir.subscriptions.matching import compiled
from wardlight_cloud.fhir.subscriptions.resource import resource_of
from wardlight_cloud.security.access import Access, permissions

VITALS = "http://terminology.hl7.org/CodeSystem/observation-category|vital-signs"
LOINC = "http://loinc.org"


async def told(ward: Ward, base: str, criteria: str, *scopes: str) -> set[str]:
    """Ids of what has changed since the beginning, by the conditions of a subscription."""
    about = definition({"criteria": criteria, "channel": {"type": "websocket"}})
    access = Access("any", permissions(scopes or ("system/*.rs",)), patient=ANNA)
    wanted = compiled(about, Asker(isolation.on_behalf_of(access), base))
    newest = await ward.store.commit_seq()
    resources, reached = await ward.store.changed_resources(TOPICS, after=0, upto=newest, count=500)
    assert reached == newest
    ids = {
        row.id
        for row in resources
        if row.body is not None and wanted.takes_resource(row, index_values(resource_of(row), base))
    }
    place = None
    while about.kind == "Observation":
        changes, place = await ward.store.changed_observations(
            after=0, upto=newest, place=place, count=2
        )
        rows = [change.row for change in changes]
        ids |= {row.observation_id for row in rows if wanted.takes_reading(row)}
        if place is None:
            break
    return ids


async def test_as_a_search(ward: Ward, client: httpx.AsyncClient) -> None:
    await ward.store_event(
        One("systolic_bp", START, 120, unit="mm[Hg]", device=CUFF),
        One("diastolic_bp", START, 80, unit="mm[Hg]", device=CUFF),
    )
    await ward.store_event(One("heart_rate", START, 71, device=CUFF))
    await ward.store_event(One("spo2", START + MINUTE, 97, device=CLIP))
    await ward.store_event(One("body_weight", START, 70, device=SCALE))
    await ward.store_event(One("glucose_cgm", START, 55, -1, unit="mmol/L", device=SCALE))
    await ward.store_event(One("glucose_cgm", START + MINUTE, 99, unit="mg/dL", device=SCALE))
    for patient in (ANNA, BERT):
        await created(client, observation(patient))
        await created(client, observation(patient, code={"coding": [{"code": "own"}]}))
        await created(client, task(patient, status="draft", description="Ärger mit Socken"))
        await created(
            client,
            task(
                patient,
                businessStatus={"coding": [{"system": "urn:s", "code": "late"}]},
                identifier=[{"system": "urn:i", "value": "7"}],
            ),
        )
    base = f"{client.base_url}/fhir".replace("//fhir", "/fhir")
    for criteria in (
        "Observation?", f"Observation?patient={ANNA}", f"Observation?subject=Patient/{BERT}",
        f"Observation?patient={ANNA},{BERT}&category={VITALS}", "Observation?category=nothing",
        f"Observation?code={LOINC}|8867-4", "Observation?code=8867-4,59408-5",
        "Observation?code=own", f"Observation?patient={base}/Patient/{ANNA}",
        f"Observation?patient=https://other.example/fhir/Patient/{ANNA}",
        "Observation?code=105272-9",
        "Observation?code=99504-3",
        "Observation?component-code=8480-6", f"Observation?combo-code=8480-6&patient={ANNA}",
        f"Observation?device={ward.devices[CLIP]}", "Observation?performer=Practitioner/1",
        "Task?", "Task?status=draft", "Task?status:not=draft",
        f"Task?patient={ANNA}&status=requested",
        "Task?business-status=urn:s|late", "Task?business-status=urn:s|",
        "Task?business-status=|late",
        "Task?identifier=urn:i|7", "Task?business-status:missing=true",
        "Task?status=draft,requested",
        "Patient?family=alm", "Patient?family:exact=Almeida", "Patient?name:contains=ran",
        "Patient?identifier=B-1", f"Patient?_id={ANNA}",
    ):  # fmt: skip
        assert await told(ward, base, criteria) == set(await found(client, criteria)), criteria
    hers = ("patient/Observation.rs", "patient/Task.rs")
    for criteria in ("Observation?", "Task?", f"Observation?patient={BERT}"):
        narrowed = f"{criteria}&patient={ANNA}"
        ids = set(await found(client, narrowed))
        assert await told(ward, base, criteria, *hers) == ids, criteria
    assert not await told(ward, base, "Observation?", f"patient/Observation.rs?category={LOINC}|x")
