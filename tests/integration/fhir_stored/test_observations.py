"""Readings and Observations that others wrote, searched as one."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.image_rows import instance
from support.readings import One
from support.served_ward import ANNA, BERT, CLIP, GATEWAY, MINUTE, SCALE, START, Ward
from support.stored_resources import created, found, observation
from wardlight_cloud.store.orders import NewEntry

PDF = "1.2.840.10008.5.1.4.1.1.104.1"
ENTRY = NewEntry(
    accession="A", step_id="1", study_uid="1.2.9", patient=ANNA, patient_id="A-1", issuer="",
    modality="CT", station_ae="CT1", starts="20260203 080000", gateways=(GATEWAY,), data_set=b"x",
)  # fmt: skip


def _at(minutes: int) -> str:
    return (START + timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z")


async def _walk(client: httpx.AsyncClient, search: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    url: str | None = f"/fhir/Observation?{search}"
    while url is not None:
        page = (await client.get(url)).json()
        assert page["resourceType"] == "Bundle", page
        entries = page.get("entry", [])
        assert entries or url.endswith(search)
        rows += [each["resource"] for each in entries]
        url = next((each["url"] for each in page["link"] if each["relation"] == "next"), None)
    return rows


async def test_both_are_found_by_what_they_have(client: httpx.AsyncClient, ward: Ward) -> None:
    await ward.store_event(One("body_weight", START, 7250, -2, device=SCALE))
    weight = (await _walk(client, "code=29463-7"))[0]["id"]
    heart = (await created(client, observation(effectiveDateTime=_at(1))))["id"]
    noted = observation(
        BERT, effectiveDateTime=_at(2), performer=[{"reference": f"Patient/{BERT}"}]
    )
    his = (await created(client, noted))["id"]
    for search, ids in (
        ("", [his, heart, weight]),
        ("_sort=date", [weight, heart, his]),
        (f"patient={ANNA}", [heart, weight]),
        ("patient.identifier=urn:test:mrn|A-1", [heart, weight]),
        ("patient.identifier=none", []),
        (f"subject:Patient.family=brandt&patient={BERT}", [his]),
        ("code=http://loinc.org|8867-4", [his, heart]),
        ("code=29463-7,8867-4", [his, heart, weight]),
        ("category=vital-signs", [his, heart, weight]),
        (f"date=gt{_at(0)}", [his, heart]),
        (f"date=ge{_at(0)}&date=lt{_at(2)}", [heart, weight]),
        (f"_id={weight},{his}", [his, weight]),
        (f"performer=Patient/{BERT}", [his]),
        ("_lastUpdated=gt2026-01-01", [weight, heart, his]),
    ):
        assert await found(client, f"Observation?{search}") == ids, search
        counted = (await client.get(f"/fhir/Observation?{search}&_summary=count")).json()
        assert counted["total"] == len(ids), search
        assert [row["id"] for row in await _walk(client, f"{search}&_count=1")] == ids, search


@settings(
    max_examples=5, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(
    minutes=st.lists(st.tuples(st.booleans(), st.integers(0, 9)), min_size=1, max_size=10),
    count=st.integers(1, 5),
)
async def test_pages_neither_skip_nor_repeat(
    client: httpx.AsyncClient, ward: Ward, minutes: list[tuple[bool, int]], count: int
) -> None:
    for is_reading, minute in minutes:
        if is_reading:
            await ward.store_event(One("spo2", START + minute * MINUTE, 95, device=CLIP))
        else:
            await created(client, observation(BERT, effectiveDateTime=_at(minute)))
    everything = {row["id"] for row in await _walk(client, "_count=500")}
    for order in ("date", "-date", "_lastUpdated"):
        rows = await _walk(client, f"_sort={order}&_count={count}")
        assert len(rows) == len(everything) == len({row["id"] for row in rows})
        times = [datetime.fromisoformat(row["effectiveDateTime"]) for row in rows]
        if order != "_lastUpdated":
            assert times == sorted(times, reverse=order == "-date")
        else:
            stored = [row["meta"]["lastUpdated"] for row in rows]
            assert stored == sorted(stored)


async def test_a_client_that_polls_has_each_once_while_others_write(
    client: httpx.AsyncClient, ward: Ward
) -> None:
    made: list[str] = []

    async def devices() -> None:
        for place in range(15):
            await ward.store_event(One("spo2", START + place * MINUTE, 90, device=CLIP))

    async def others() -> None:
        for _ in range(15):
            made.append((await created(client, observation()))["id"])

    tasks = [asyncio.create_task(devices()), asyncio.create_task(others())]
    seen: set[str] = set()
    since = "2026-01-01"
    while True:
        is_over = all(task.done() for task in tasks)
        for row in await _walk(client, f"_lastUpdated=ge{since}&_count=3"):
            seen.add(row["id"])
            since = row["meta"]["lastUpdated"]
        if is_over:
            break
    await asyncio.gather(*tasks)
    assert seen == {row["id"] for row in await _walk(client, "_count=500")}
    assert set(made) < seen and len(seen) == 30


async def test_devices_of_both_kinds_are_searched_as_one(
    client: httpx.AsyncClient, ward: Ward
) -> None:
    own = await found(client, "Device?_count=2")
    assert len(own) == 3
    device = {"resourceType": "Device", "patient": {"reference": f"Patient/{ANNA}"},
              "identifier": [{"system": "urn:d", "value": "9"}]}  # fmt: skip
    foreign = [(await created(client, device))["id"] for _ in range(3)]
    for count in (1, 2, 3, 4, 50):
        assert await found(client, f"Device?_count={count}") == [*own, *foreign]
    assert await found(client, "Device?identifier=urn:d|9&_count=2") == foreign
    assert (await client.get("/fhir/Device?_summary=count")).json()["total"] == 6
    assert len(await found(client, f"Device?patient={ANNA}&_count=1")) == 5
    assert (await client.get(f"/fhir/Device/{foreign[0]}")).json()["patient"] == device["patient"]
    order = {"resourceType": "ServiceRequest", "status": "active", "intent": "order",
             "subject": {"reference": f"Patient/{ANNA}"}, "priority": "urgent"}  # fmt: skip
    made = (await created(client, order))["id"]
    assert await found(client, f"ServiceRequest?patient={ANNA}") == [made]
    assert await found(client, "ServiceRequest?priority=urgent") == [made]
    assert await found(client, "ServiceRequest?status=completed") == []
    document = {"resourceType": "DocumentReference", "status": "current",
                "subject": {"reference": f"Patient/{ANNA}"},
                "content": [{"attachment": {"url": "https://x.example/1"}}]}  # fmt: skip
    made = (await created(client, document))["id"]
    assert await found(client, f"DocumentReference?patient={ANNA}") == [made]


async def test_documents_and_orders_of_both_kinds_have_one_order(
    client: httpx.AsyncClient, ward: Ward
) -> None:
    """Written before, between and after those of images; each once, however long the pages are."""
    document = {"resourceType": "DocumentReference", "status": "current",
                "subject": {"reference": f"Patient/{ANNA}"},
                "content": [{"attachment": {"url": "https://x.example/1"}}]}  # fmt: skip
    order = {"resourceType": "ServiceRequest", "status": "active", "intent": "order",
             "subject": {"reference": f"Patient/{ANNA}"}}  # fmt: skip
    wanted: dict[str, list[str]] = {"DocumentReference": [], "ServiceRequest": []}
    for place in range(3):
        wanted["DocumentReference"].append((await created(client, document))["id"])
        wanted["ServiceRequest"].append((await created(client, order))["id"])
        made = instance(f"1.2.{place}.1.1", study=f"1.2.{place}", series=f"1.2.{place}.1",
                        sop_class=PDF, patient=ANNA, Modality="DOC")  # fmt: skip
        await ward.store.put_instances([made])
        await ward.store.put_entries([replace(ENTRY, accession=f"A-{place}", step_id="1")])
    for kind, written in wanted.items():
        of_anna = f"patient={ANNA}&_sort=_lastUpdated"
        for search in ("_sort=_lastUpdated", "_lastUpdated=ge2026-01-01", of_anna):
            ids = await found(client, f"{kind}?{search}")
            assert [each for each in ids if each in written] == written
            assert [each in written for each in ids] == [True, False] * 3, (kind, search)
            for count in (1, 2, 4):
                assert await found(client, f"{kind}?{search}&_count={count}") == ids
            assert (await client.get(f"/fhir/{kind}?{search}&_summary=count")).json()["total"] == 6


async def test_foreign_measurements_are_judged_as_readings(client: httpx.AsyncClient) -> None:
    """Implausible: kept and flagged. Impossible, from the future, in another unit: refused."""
    quantity = observation()["valueQuantity"]
    odd = await created(client, observation(valueQuantity={**quantity, "value": 500}))
    assert [each["valueCode"] for each in odd["extension"]] == ["implausible"]
    assert odd["interpretation"][0]["coding"][0]["code"] == "questionable"
    again = await client.put(f"/fhir/Observation/{odd['id']}", json=odd)
    assert again.json()["meta"]["versionId"] == odd["meta"]["versionId"]
    patch = [{"op": "replace", "path": "/valueQuantity/value", "value": 50}]
    headers = {"Content-Type": "application/json-patch+json"}
    url = f"/fhir/Observation/{odd['id']}"
    right = (await client.patch(url, json=patch, headers=headers)).json()
    assert "extension" not in right and "interpretation" not in right
    for wrong, place in (
        ({"valueQuantity": {**quantity, "value": -1}}, "valueQuantity.value"),
        ({"valueQuantity": {**quantity, "unit": "%"}}, "valueQuantity.unit"),
        ({"effectiveDateTime": "2999-01-01T00:00:00Z"}, "effectiveDateTime"),
        ({"performer": []}, "performer"),
    ):
        answer = await client.post("/fhir/Observation", json=observation(**wrong))
        assert answer.status_code == 422, answer.text
        assert answer.json()["issue"][0]["expression"] == [f"Observation.{place}"]
    assert await found(client, "Observation") == [odd["id"]]
