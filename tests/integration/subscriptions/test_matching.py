"""A subscription's events are what a search with the same criteria finds."""

from typing import Any

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
from wardlight_shared.model import CODE_BY_ABSENT, Absent, Flag

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


async def test_numbers_moments_and_states(ward: Ward, client: httpx.AsyncClient) -> None:
    """Readings and stored Observations by each kind of parameter that says more than a code."""
    gone = CODE_BY_ABSENT[Absent.NAN]
    await ward.store_event(
        One("systolic_bp", START, 142, unit="mm[Hg]", device=CUFF),
        One("diastolic_bp", START, 91, unit="mm[Hg]", device=CUFF),
    )
    await ward.store_event(One("heart_rate", START, 71, device=CUFF))
    await ward.store_event(One("heart_rate", START + MINUTE, 131, device=CUFF))
    await ward.store_event(One("spo2", START + 2 * MINUTE, 97, device=CLIP, flags=int(Flag.EARLY)))
    await ward.store_event(One("spo2", START + 3 * MINUTE, 0, absent=gone, device=CLIP))
    await ward.store_event(One("body_weight", START, 705, -1, device=SCALE))
    reading = (await found(client, "Observation?code=8867-4"))[0]
    own = {"coding": [{"system": "urn:s", "code": "own"}]}
    number = {"value": 6.4, "unit": "mmol/L", "system": "http://unitsofmeasure.org",
              "code": "mmol/L"}  # fmt: skip
    more: list[dict[str, Any]] = [
        {"code": own, "valueQuantity": number},
        {"code": own, "effectiveDateTime": "2026-03-11"},
        {"code": own, "status": "preliminary", "identifier": [{"system": "urn:i", "value": "7"}],
         "valueString": "high"},
        {"code": own, "effectivePeriod": {"start": "2026-03-10T12:01:00Z"},
         "effectiveDateTime": None},
        {"code": own, "effectivePeriod": {"end": "2026-03-10T12:01:00Z"},
         "effectiveDateTime": None},
        {"component": [
            {"code": own, "valueQuantity": number},
            {"code": {"coding": [{"system": "urn:s", "code": "other"}]},
             "valueQuantity": {**number, "value": 9}}]},
    ]  # fmt: skip
    stored = []
    for fields in more:
        body = {**observation(ANNA), **fields}
        if "valueString" in fields:
            body.pop("valueQuantity", None)
        wanted = {name: value for name, value in body.items() if value is not None}
        stored.append((await created(client, wanted))["id"])
    await created(client, task(ANNA, authoredOn="2026-03-10", status="draft"))
    await created(client, task(BERT, authoredOn="2026-03-11T10:00:00Z"))
    base = f"{client.base_url}/fhir".replace("//fhir", "/fhir")
    nothing = list[str]()
    for criteria in (
        "Observation?value-quantity=gt100", "Observation?value-quantity=71||/min",
        "Observation?value-quantity=lt100&code=8867-4", "Observation?value-quantity=le71",
        "Observation?value-quantity=6.4|http://unitsofmeasure.org|mmol/L",
        "Observation?value-quantity=sa6,eb7", "Observation?value-quantity=ne71",
        "Observation?value-quantity=ap130", "Observation?value-quantity:missing=true",
        "Observation?component-value-quantity=gt140||mm[Hg]",
        "Observation?combo-value-quantity=ge91",
        "Observation?code-value-quantity=8867-4$gt100",
        "Observation?code-value-quantity=urn:s|own$lt7",
        "Observation?component-code-value-quantity=8480-6$gt140,8462-4$gt140",
        "Observation?component-code-value-quantity=8462-4$gt140",
        "Observation?component-code-value-quantity=urn:s|own$gt7,urn:s|other$gt7,8462-4$gt90",
        "Observation?component-code-value-quantity=urn:s|own$gt7,8462-4$gt90",
        "Observation?combo-code-value-quantity=8867-4$lt100",
        f"Observation?date=ge{START + MINUTE:%Y-%m-%dT%H:%M:%SZ}", "Observation?date=2026-03-10",
        "Observation?date=ne2026-03-10", "Observation?date=lt2026-03-10T12:01:00Z",
        "Observation?date=2026-03-11,2026-03-12", "Observation?date=sa2026-03-10",
        "Observation?date=ge2026-03-10T12:01:00Z&date=lt2026-03-10T12:02:00Z",
        "Observation?status=final", "Observation?status=preliminary",
        "Observation?status:not=final", "Observation?data-absent-reason:missing=false",
        "Observation?data-absent-reason=not-a-number", f"Observation?_id={reading},{stored[0]}",
        f"Observation?_id:not={reading}", "Observation?identifier=urn:i|7",
        f"Observation?patient={ANNA}&value-quantity=gt70&date=2026-03-10",
        "Observation?value-string=high", "Observation?value-string:missing=true",
        "Observation?_profile:missing=true", "Task?authored-on=2026-03-10",
        "Task?authored-on=gt2026-03-10", "Task?authored-on=lt2026&status=draft",
        f"Observation?device={base}/Device/{ward.devices[CLIP]}",
    ):  # fmt: skip
        ids = set(await found(client, criteria))
        assert await told(ward, base, criteria) == ids, criteria
        if not ids:
            nothing.append(criteria)
    assert nothing == [
        "Observation?component-code-value-quantity=8462-4$gt140",
        "Task?authored-on=lt2026&status=draft",
    ], "what finds nothing compares nothing"
