"""Versions of what is made here: a reading's history, and the version of now of all else."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from fhir.resources.R4B.bundle import Bundle

from support.readings import One, cuff
from support.served_ward import ANNA, BASE, BERT, CLIP, CUFF, SCALE, START, Ward
from support.stored_resources import found, observation, writing_client
from wardlight_cloud.security.tokens import new_token, token_hash
from wardlight_cloud.store.authorization import Grant, NewTokens
from wardlight_cloud.store.batch import Detail
from wardlight_shared.model import CODE_BY_ABSENT, Absent, Flag

Json = Any
SECOND = timedelta(seconds=1)
INVALID = CODE_BY_ABSENT[Absent.INVALID]


def told(one: One, status: str | None = None, *, at: str = "2026-03-10T13:00:00") -> One:
    """A reading with the time its sender gave, and what it says of one sent before."""
    context = () if status is None else (("status", status),)
    flag = {None: 0, "corrected": int(Flag.CORRECTED)}.get(status, int(Flag.WITHDRAWN))
    return replace(one, flags=one.flags | flag, detail=Detail(0, None, None, at, None, context))


def weight(grams: int, at: int = 0, **more: object) -> One:
    made = One("body_weight", START + at * SECOND, grams, -3, device=SCALE, ord=256 * (at + 1))
    return replace(made, **more)  # type: ignore[arg-type]


async def history(client: httpx.AsyncClient, path: str) -> list[Json]:
    """Entries of all pages, the latest first; each version reads alike."""
    entries: list[Json] = []
    url: str | None = f"/fhir/{path}"
    while url is not None:
        answer = await client.get(url)
        assert answer.status_code == 200, answer.text
        Bundle.model_validate_json(answer.content)
        page = answer.json()
        assert page["type"] == "history"
        entries += page.get("entry", [])
        url = next((each["url"] for each in page["link"] if each["relation"] == "next"), None)
    for entry in entries:
        resource = entry["resource"]
        version = resource["meta"]["versionId"]
        place = f"{resource['resourceType']}/{resource['id']}"
        assert entry["fullUrl"] == f"{BASE}/fhir/{place}"
        assert entry["response"]["etag"] == f'W/"{version}"'
        read = await client.get(f"/fhir/{place}/_history/{version}")
        assert read.json() == resource
        assert read.headers["etag"] == f'W/"{version}"'
    return entries


def said(entries: list[Json]) -> list[tuple[str, float | None]]:
    """Status and number of versions, the first one first."""
    resources = [each["resource"] for each in reversed(entries)]
    return [(r["status"], r.get("valueQuantity", {}).get("value")) for r in resources]


async def test_a_corrected_reading_tells_what_it_said_before(ward: Ward) -> None:
    await ward.store_event(told(weight(72_500)))
    async with ward.client() as client:
        (one,) = await found(client, "Observation")
        assert said(await history(client, f"Observation/{one}/_history")) == [("final", 72.5)]
        await ward.store_event(told(weight(75_200, 9), "corrected"))
        await ward.store_event(told(weight(0, 19, absent=INVALID), "deleted"))
        await ward.store_event(told(weight(75_300, 29), "corrected"))
        entries = await history(client, f"Observation/{one}/_history")
        assert said(entries) == [
            ("final", 72.5), ("corrected", 75.2), ("entered-in-error", None), ("corrected", 75.3),
        ]  # fmt: skip
        now = (await client.get(f"/fhir/Observation/{one}")).json()
        assert entries[0]["resource"] == now
        names = [each["system"].rpartition("/")[2] for each in now["identifier"]]
        assert names == ["urn:wardlight:observation", "PhdBaseObservation"]
        assert all(each["resource"]["identifier"] == now["identifier"] for each in entries)
        versions = [int(each["resource"]["meta"]["versionId"]) for each in entries]
        assert versions == sorted(set(versions), reverse=True)
        methods = [each["request"]["method"] for each in entries]
        assert methods == ["PUT", "PUT", "PUT", "POST"]
        assert await history(client, f"Observation/{one}/_history?_count=1") == entries
        second = entries[2]["resource"]["meta"]["lastUpdated"]
        since = await history(client, f"Observation/{one}/_history?_since={second}")
        assert since == entries[:3]
        for wrong in ("0", str(max(versions) + 1), "x", "9" * 40):
            answer = await client.get(f"/fhir/Observation/{one}/_history/{wrong}")
            assert answer.status_code == 404
        known = {"If-None-Match": f'W/"{versions[1]}"'}
        answer = await client.get(f"/fhir/Observation/{one}/_history/{versions[1]}", headers=known)
        assert answer.status_code == 304
        nobody = await client.get(f"/fhir/Observation/{'0' * 32}/_history")
        assert nobody.status_code == 404


async def test_a_pressure_has_a_version_for_each_side_that_changed(ward: Ward) -> None:
    systolic, diastolic = cuff(START, 138, 86, device=CUFF)
    await ward.store_event(told(systolic), told(diastolic))
    later = One("systolic_bp", START + 9 * SECOND, 128, device=CUFF, ord=512)
    await ward.store_event(told(later, "corrected"))
    async with ward.client() as client:
        (one,) = await found(client, "Observation")
        entries = await history(client, f"Observation/{one}/_history")
    numbers = [
        [part["valueQuantity"]["value"] for part in each["resource"]["component"]]
        for each in reversed(entries)
    ]
    assert numbers == [[138, 86], [128, 86]]
    assert [each["resource"]["status"] for each in reversed(entries)] == ["final", "corrected"]


async def test_what_was_posted_to_the_wrong_patient_is_not_told(ward: Ward) -> None:
    """It is somebody else's number: what is left says that there was one, and no more."""
    await ward.store_event(told(weight(72_500)))
    await ward.store_event(told(weight(75_200, 9), "corrected"))
    await ward.store_event(told(weight(0, 19, absent=INVALID), "wrong"))
    async with ward.client() as client:
        (one,) = await found(client, "Observation")
        assert said(await history(client, f"Observation/{one}/_history")) == [
            ("entered-in-error", None)
        ]
        await ward.store_event(told(weight(61_000, 29), "corrected"))
        assert said(await history(client, f"Observation/{one}/_history")) == [
            ("entered-in-error", None), ("corrected", 61.0),
        ]  # fmt: skip


async def test_a_patient_reads_no_version_of_before(ward: Ward) -> None:
    """Who gets a device for a time that has readings, gets them as of now: not their history."""
    await ward.store_event(told(weight(72_500)))
    await ward.store_event(told(weight(75_200, 9), "corrected"))
    async with ward.client() as client:
        (one,) = await found(client, "Observation")
        before = await history(client, f"Observation/{one}/_history")
        assert [each["resource"]["subject"]["reference"] for each in before] == [
            f"Patient/{ANNA}"
        ] * 2
        scale = ward.devices[SCALE]
        (given,) = await ward.store.assignments(device_id=scale)
        await ward.store.unassign(given.assignment_id, valid_to=START - SECOND)
        assert (await client.get(f"/fhir/Observation/{one}/_history")).status_code == 404
        await ward.store.assign(scale, BERT, user=None, valid_from=START - SECOND)
        (after,) = await history(client, f"Observation/{one}/_history")
        assert after["resource"]["subject"] == {"reference": f"Patient/{BERT}"}
        assert after["resource"]["valueQuantity"]["value"] == 75.2
        for each in before:
            version = each["resource"]["meta"]["versionId"]
            answer = await client.get(f"/fhir/Observation/{one}/_history/{version}")
            assert answer.status_code == 404
    token = new_token()
    await ward.store.put_client("app", token_hash(new_token()), [])
    grant = Grant("app", ("patient/*.rs",), patient=ANNA)
    await ward.store.grant(grant, NewTokens(token_hash(token), 600))
    async with ward.client(token=token) as client:
        for path in ("_history", f"_history/{after['resource']['meta']['versionId']}"):
            assert (await client.get(f"/fhir/Observation/{one}/{path}")).status_code == 404


async def test_all_that_is_made_here_has_the_version_of_now(ward: Ward) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    alarmed = One("spo2", now - SECOND, 80, flags=int(Flag.DEVICE_ALARM), device=CLIP)
    await ward.store_event(alarmed)
    async with writing_client(ward) as client:
        written = (await client.post("/fhir/Observation", json=observation())).json()
        for kind in ("Device", "DeviceMetric", "Provenance", "Flag", "DetectedIssue", "Patient"):
            for one in await found(client, kind):
                (entry,) = await history(client, f"{kind}/{one}/_history")
                shown = (await client.get(f"/fhir/{kind}/{one}")).json()
                assert json.dumps(entry["resource"]) == json.dumps(shown)
                answer = await client.get(f"/fhir/{kind}/{one}/_history/0")
                assert answer.status_code == 404
        (entry,) = await history(client, f"Observation/{written['id']}/_history")
        assert entry["resource"] == written
        for path in ("Device/nobody/_history", "Flag/nobody/_history", "Provenance/x/_history/1"):
            assert (await client.get(f"/fhir/{path}")).status_code == 404
