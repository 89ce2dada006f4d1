"""Chains, ``_has``, ``_include`` and ``_revinclude`` that lead to what this server makes itself.

What they cannot look through is refused; a list that leaves it out would be a false one.
"""

from typing import Any

import httpx
import pytest

from support.readings import One
from support.served_ward import ANNA, BERT, CLIP, CUFF, MINUTE, SCALE, START, Ward
from support.stored_resources import created, found, observation, task
from wardlight_cloud.fhir import looked_up
from wardlight_cloud.fhir.capability import OWN_HANDLERS
from wardlight_cloud.fhir.search import OBSERVATION_PARAMETERS
from wardlight_cloud.fhir.stored import including
from wardlight_cloud.fhir.stored.kinds import BESIDE_OWN, OWN_REFERENCES
from wardlight_cloud.security.tokens import new_token, token_hash

A, B = str(ANNA), str(BERT)


async def fill(client: httpx.AsyncClient, ward: Ward) -> dict[str, str]:
    """Anna has a temperature and a written heart rate, Bert two pulses; ids by name."""
    await ward.store_event(One("body_temperature", START, 380, -1, device=SCALE))
    for minute in (1, 2):
        at = START + minute * MINUTE
        await ward.store_event(One("pulse_rate_oximeter", at, 60 + minute, device=CLIP))
    ids = dict(
        zip(("warm", "first", "second"), await found(client, "Observation?_sort=date"), strict=True)
    )
    ids["written"] = (await created(client, observation()))["id"]
    return ids


async def refused(client: httpx.AsyncClient, search: str, *words: str) -> None:
    answer = await client.get(f"/fhir/{search}")
    assert answer.status_code == 400, (search, answer.text)
    assert all(word in answer.text for word in words), answer.text


async def included(client: httpx.AsyncClient, search: str) -> set[str]:
    """What stands beside the matches of all pages, of which no page repeats one."""
    seen: set[str] = set()
    url: str | None = f"/fhir/{search}"
    while url is not None:
        page: dict[str, Any] = (await client.get(url)).json()
        entries = page.get("entry", [])
        assert len({each["fullUrl"] for each in entries}) == len(entries)
        seen |= {
            f"{each['resource']['resourceType']}/{each['resource']['id']}"
            for each in entries
            if each["search"]["mode"] == "include"
        }
        url = next((each["url"] for each in page["link"] if each["relation"] == "next"), None)
    return seen


def test_the_table_has_the_references_of_each_handler() -> None:
    handlers = {**OWN_HANDLERS, "Observation": OBSERVATION_PARAMETERS}
    assert set(handlers) == BESIDE_OWN
    for kind, parameters in handlers.items():
        names = {name for name, form in parameters.items() if form == "reference"}
        assert set(OWN_REFERENCES[kind]) == names, kind


async def test_patients_are_found_by_their_readings(client: httpx.AsyncClient, ward: Ward) -> None:
    await fill(client, ward)
    for search, wanted in (
        ("_has:Observation:patient:code=8310-5", [A]),
        ("_has:Observation:subject:code=8867-4", [A, B]),
        ("_has:Observation:patient:code:not=8867-4", [A]),
        ("_has:Observation:patient:code=8867-4&_has:Observation:patient:code=8310-5", [A]),
        ("_has:Observation:patient:code=8867-4&name=brandt", [B]),
        ("_has:Observation:patient:value-quantity=gt61", [A, B]),
        ("_has:Observation:patient:code-value-quantity=8867-4$lt62", [B]),
        ("_has:Observation:patient:date=lt2026-03-10T12:01:00Z", [A]),
        ("_has:Observation:patient:device.identifier=ble:00000000000B", [B]),
        ("_has:Observation:patient:code=1234-5", []),
        ("_has:Device:patient:type=65573", [A, B]),
        (f"_has:Device:patient:_id={ward.devices[CLIP]}", [B]),
        (f"_has:Provenance:patient:agent=Device/{ward.devices[CLIP]}", [B]),
        ("_has:ServiceRequest:patient:status=active", []),
    ):
        for pages in ("", "&_count=1"):
            assert sorted(await found(client, f"Patient?{search}{pages}")) == wanted, search
        total = (await client.get(f"/fhir/Patient?{search}&_summary=count")).json()["total"]
        assert total == len(wanted), search


async def test_what_lies_behind_a_reference_is_looked_at(
    client: httpx.AsyncClient, ward: Ward
) -> None:
    ids = await fill(client, ward)
    for patient, name in ((ANNA, "written"), (ANNA, "warm"), (BERT, "second")):
        made = await created(client, {
            "resourceType": "DiagnosticReport", "status": "final", "code": {"text": name},
            "subject": {"reference": f"Patient/{patient}"},
            "result": [{"reference": f"Observation/{ids[name]}"}],
        })  # fmt: skip
        ids[f"of {name}"] = made["id"]
    for search, names in (
        ("result.code=8867-4", "written second"),
        ("result:Observation.code=8310-5", "warm"),
        ("result.code:not=8867-4", "warm"),
        (f"result.device.identifier=ble:00000000000B&patient={BERT}", "second"),
        (f"result.code=8867-4&patient={ANNA}", "written"),
        ("result.value-quantity=gt70", "written"),
        ("result.status=amended", ""),
    ):
        wanted = [ids[f"of {name}"] for name in names.split()]
        assert sorted(await found(client, f"DiagnosticReport?{search}")) == sorted(wanted), search


async def test_what_cannot_be_looked_through_is_refused(
    client: httpx.AsyncClient, ward: Ward
) -> None:
    await fill(client, ward)
    await created(client, task())
    for search in (
        "Device?_has:Observation:device:code=8867-4", "Observation?_has:Observation:device:code=1",
        "DocumentReference?_has:Task:focus:status=draft", "Flag?_has:Task:focus:status=draft",
        "Task?patient._has:Observation:patient:code=8310-5",
        "Task?_has:DiagnosticReport:patient:result.code=8310-5",
        "Patient?_has:DiagnosticReport:patient:result.code=8310-5",
        "DocumentReference?relatesto.type=1", "Observation?device.type=65573",
        "Observation?has-member.code=8867-4",
        "Patient?_has:Observation:patient:nothing=1", "Patient?_has:Observation:patient:code=",
    ):  # fmt: skip
        await refused(client, search)
    for name in ("If-None-Exist", ""):
        query = "_has:Observation:patient:code=8310-5"
        resource = {"resourceType": "Patient", "name": [{"family": "New"}]}
        answer = (
            await client.post("/fhir/Patient", json=resource, headers={name: query})
            if name
            else await client.put(f"/fhir/Patient?{query}", json=resource)
        )
        assert answer.status_code == 400, answer.text


async def test_too_many_are_refused(
    client: httpx.AsyncClient, ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(client, ward)
    monkeypatch.setattr(looked_up, "MOST", 1)
    await refused(client, "Patient?_has:Observation:patient:code=8310-5", "too-costly", "narrow")
    search = f"Patient?_has:Observation:patient:code=8310-5&_id={ANNA}"
    assert await found(client, search) == [A]


async def test_readings_stand_beside_what_they_refer_to(
    client: httpx.AsyncClient, ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = await fill(client, ward)
    sensors = {name: f"Device/{ward.devices[name]}" for name in (CLIP, CUFF, SCALE)}
    readings = {name: f"Observation/{each}" for name, each in ids.items()}
    of_bert = {readings["first"], readings["second"]}
    one = f"Patient?_id={BERT}"
    assert await included(client, f"{one}&_revinclude=Observation:patient") == of_bert
    assert await included(client, f"{one}&_revinclude=Observation:*") == of_bert
    assert await included(client, f"{one}&_revinclude=Device:patient") == {sensors[CLIP]}
    both = "Patient?_revinclude=Observation:patient&_revinclude=Device:patient"
    assert await included(client, f"{both}&_count=1") == {*readings.values(), *sensors.values()}
    uploads = await included(client, f"{one}&_revinclude=Provenance:patient")
    assert uploads == {
        f"Provenance/{each}" for each in await found(client, f"Provenance?patient={B}")
    }
    assert len(uploads) == 2
    device = f"Device?_id={ward.devices[CLIP]}"
    assert await included(client, f"{device}&_revinclude=Observation:device") == of_bert
    every = "Device?type=65573&_revinclude=Observation:device&_count=1"
    assert await included(client, every) == of_bert | {readings["warm"]}
    monkeypatch.setattr(including, "MOST_INCLUDED", 1)
    await refused(client, f"{one}&_revinclude=Observation:patient", "too-costly")


async def test_nobody_is_found_by_what_the_asker_may_not_see(
    client: httpx.AsyncClient, ward: Ward
) -> None:
    await fill(client, ward)
    has = "Patient?_has:Observation:patient:code=8867-4"
    laboratory = "http://terminology.hl7.org/CodeSystem/observation-category|laboratory"
    for scopes in ((), (f"system/Observation.rs?category={laboratory}",)):
        token = new_token()
        await ward.store.put_client(
            f"names {scopes}", token_hash(token), ["system/Patient.rs", *scopes]
        )
        client.headers["Authorization"] = f"Bearer {token}"
        assert await included(client, "Patient?_revinclude=Observation:patient") == set()
        if scopes:
            assert await found(client, has) == []
        else:
            assert (await client.get(f"/fhir/{has}")).status_code == 403
