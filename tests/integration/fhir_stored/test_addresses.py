"""An absolute reference to another server names nobody here; one to ours is as a relative one."""

from typing import Any

import httpx
import pytest

from support.readings import One
from support.served_ward import ANNA, BASE, BERT, CLIP, CUFF, START, Ward
from support.stored_resources import created, found, observation, task
from support.waiting import wait_until
from wardlight_cloud.app import create_app

OTHER = "https://other.example/fhir"
OWN = f"{BASE}/fhir"


async def _answer(client: httpx.AsyncClient, path: str) -> list[str]:
    """Ids of what is found, by search or by operation."""
    answer = await client.get(f"/fhir/{path}")
    assert answer.status_code == 200, (path, answer.text)
    return sorted(each["resource"]["id"] for each in answer.json().get("entry", []))


async def test_searches_for_our_own_and_for_others(client: httpx.AsyncClient, ward: Ward) -> None:
    await ward.store_event(One("systolic_bp", START, 140, device=CUFF))
    await ward.store_event(One("spo2", START, 97, device=CLIP))
    await created(client, observation())
    await created(client, task())
    cuff = ward.devices[CUFF]
    for search, kind, name in (
        ("Observation?patient=", "Patient", str(ANNA)), ("Task?patient=", "Patient", str(ANNA)),
        ("Observation?subject=", "Patient", str(ANNA)),
        ("Observation?subject:Patient=", "Patient", str(ANNA)),
        ("Observation?device=", "Device", str(cuff)), ("Device?patient=", "Patient", str(ANNA)),
        ("DeviceMetric?source=", "Device", str(cuff)),
        ("Provenance?patient=", "Patient", str(ANNA)),
        ("Observation/$lastn?patient=", "Patient", str(ANNA)),
    ):  # fmt: skip
        relative = await _answer(client, f"{search}{kind}/{name}")
        assert relative, search
        assert await _answer(client, f"{search}{OWN}/{kind}/{name}") == relative, search
        both = f"{OTHER}/{kind}/1,{OWN}/{kind}/{name}"
        if not search.startswith("Device?"):
            assert await _answer(client, f"{search}{both}") == relative, search
        assert await _answer(client, f"{search}{OTHER}/{kind}/{name}") == [], search
        form = {search.partition("?")[2].rstrip("="): f"{OTHER}/{kind}/{name}"}
        if "$" not in search:
            posted = await client.post(
                f"/fhir/{search.partition('?')[0]}/_search", data=form,
                headers={"Content-Type": "application/x-www-form-urlencoded"},
            )  # fmt: skip
            assert posted.status_code == 200 and "entry" not in posted.json(), search
    wrong = await client.get(f"/fhir/Observation?patient={OWN}/Device/{cuff}")
    assert wrong.status_code == 400


async def test_where_others_are_is_kept_and_found_as_written(
    client: httpx.AsyncClient, ward: Ward
) -> None:
    foreign = {"reference": f"{OTHER}/Patient/{ANNA}"}
    code = {"coding": [{"system": "http://loinc.org", "code": "1-8"}]}  # no vital sign
    theirs = (
        await created(
            client, observation(subject=foreign, code=code, category=[{"text": "laboratory"}])
        )
    )["id"]
    ours = (await created(client, observation(subject={"reference": f"{OWN}/Patient/{ANNA}"})))[
        "id"
    ]
    await ward.store_event(One("spo2", START, 97, device=CLIP))
    assert await found(client, f"Observation?patient={ANNA}") == [ours]
    assert await found(client, f"Observation?patient={OWN}/Patient/{ANNA}") == [ours]
    assert await found(client, f"Observation?subject={OTHER}/Patient/{ANNA}") == [theirs]
    included = await client.get(f"/fhir/Observation?_id={ours}&_include=Observation:patient")
    assert {each["resource"]["id"] for each in included.json()["entry"]} == {ours, str(ANNA)}
    dead = observation(subject={"reference": f"{OWN}/Patient/{BERT.int:x}"})
    assert (await client.post("/fhir/Observation", json=dead)).status_code == 422


async def test_the_public_address_is_our_own(ward: Ward, client: httpx.AsyncClient) -> None:
    """Where an operator set one, the Host of a request says nothing."""
    made = (await created(client, observation()))["id"]
    settings = ward.settings.model_copy(
        update={
            "http": ward.settings.http.model_copy(update={"base_url": "https://public.example"})
        }
    )
    app = create_app(settings, ward.store)
    headers = dict(client.headers)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url=BASE, headers=headers
        ) as public,
    ):
        search = "Observation?patient="
        assert await found(public, f"{search}https://public.example/fhir/Patient/{ANNA}") == [made]
        assert await _answer(public, f"{search}{OWN}/Patient/{ANNA}") == []


async def test_a_group_of_another_servers_people_exports_none_of_ours(
    client: httpx.AsyncClient, ward: Ward
) -> None:
    await ward.store_event(One("systolic_bp", START, 140, device=CUFF))
    await ward.store_event(One("spo2", START, 97, device=CLIP))
    group: dict[str, Any] = {
        "resourceType": "Group", "type": "person", "actual": True,
        "member": [
            {"entity": {"reference": f"{OTHER}/Patient/{ANNA}"}},
            {"entity": {"reference": f"{OWN}/Patient/{BERT}"}},
        ],
    }  # fmt: skip
    name = (await created(client, group))["id"]
    export, wishes = f"/fhir/Group/{name}/$export", {"Prefer": "respond-async"}
    for address, status in ((OTHER, 400), (OWN, 202)):
        reference = {"reference": f"{address}/Patient/{BERT}"}
        parameter = [{"name": "patient", "valueReference": reference}]
        body = {"resourceType": "Parameters", "parameter": parameter}
        asked = await client.post(export, json=body, headers=wishes)
        assert asked.status_code == status, asked.text
    assert (await client.delete(asked.headers["Content-Location"])).status_code == 202
    asked = await client.get(f"{export}?_type=Patient", headers=wishes)
    assert asked.status_code == 202, asked.text
    place = asked.headers["Content-Location"]

    async def is_made() -> bool:
        return (await client.get(place)).status_code == 200

    await wait_until(is_made, 120, "the export is made")
    (entry,) = (await client.get(place)).json()["output"]
    lines = await client.get(entry["url"], headers={"Accept": "application/fhir+ndjson"})
    assert str(BERT) in lines.text and str(ANNA) not in lines.text


@pytest.mark.parametrize("path", ["Observation/$lastn", "Observation/$stats"])
async def test_operations_take_references_alike(
    path: str, client: httpx.AsyncClient, ward: Ward
) -> None:
    await ward.store_event(One("heart_rate", START, 61, device=CUFF))
    for address, is_found in ((OWN, True), (OTHER, False)):
        parameter = [
            {"name": "subject", "valueReference": {"reference": f"{address}/Patient/{ANNA}"}},
        ]
        if path.endswith("$stats"):
            parameter += [
                {"name": "code", "valueString": "8867-4"},
                {"name": "system", "valueUri": "http://loinc.org"},
                {"name": "statistic", "valueCode": "count"},
                {"name": "period", "valueString": "2026-01-01/2026-12-31"},
            ]
        body = {"resourceType": "Parameters", "parameter": parameter}
        answer = await client.post(f"/fhir/{path}", json=body)
        assert answer.status_code == 200, answer.text
        assert bool({"entry", "parameter"} & answer.json().keys()) is is_found, answer.text
