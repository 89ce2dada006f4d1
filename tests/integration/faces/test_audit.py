"""The audit trail through the real faces: each request is on record, for those who may read it."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx
import pytest
from fhir.resources.R4B import get_fhir_model_class

from support.fhir_definitions.package import require_definitions
from support.fhir_definitions.validator import Validator
from support.readings import One
from support.served_ward import ANNA, BASE, BERT, CLIP, CUFF, LOGIN, PASSWORD, START, Ward
from support.waiting import wait_until
from wardlight_cloud.fhir.own.audit_event import AUDIT_PARAMETERS
from wardlight_cloud.security.tokens import new_token, token_hash
from wardlight_cloud.store.audit import AuditEntry, AuditQuery
from wardlight_cloud.store.authorization import Grant, NewTokens
from wardlight_shared.errors import StorageError

Json = Any


@asynccontextmanager
async def client_of(
    ward: Ward, name: str, *scopes: str, patient: UUID | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    """A client with these scopes, about one patient or all."""
    token = new_token()
    await ward.store.put_client(name, token_hash(new_token()), [])
    await ward.store.grant(Grant(name, scopes, patient=patient), NewTokens(token_hash(token), 600))
    async with ward.client(token=token) as client:
        yield client


async def ask_all_faces(ward: Ward) -> None:
    """Requests of a client, of strangers and of a user, known when this returns."""
    await ward.store_event(One("spo2", START, 97, device=CLIP))
    await ward.store_event(One("systolic_bp", START, 120, device=CUFF))
    async with ward.client() as client:
        found = (await client.get(f"/fhir/Observation?patient={BERT}")).json()
        reading = found["entry"][0]["resource"]["id"]
        await client.get(f"/fhir/Observation/{reading}")
        await client.get("/fhir/Observation?_count=9")
        await client.get("/fhir/Observation/none")
        await client.get("/fhir/Observation?date=soon")
        await client.post("/fhir/Patient/_search", data={"identifier": "A-1"})
        await client.get(f"/fhir/Patient/{ANNA}")
        await client.get("/fhir/metadata")
        await client.get("/dicom-web/studies")
    async with ward.client(token="wrong") as stranger:
        await stranger.get("/fhir/Patient")
    async with ward.client(token=None) as browser:
        for password in ("wrong", PASSWORD):
            await browser.post("/login", data={"login": LOGIN, "password": password})
        await browser.get(f"/patients/{ANNA}")
        await browser.post("/logout")
    # Leaving a client ends the app, which writes what waits.


async def events(client: httpx.AsyncClient, search: str = "") -> list[Json]:
    """AuditEvents of all pages."""
    found: list[Json] = []
    url: str | None = f"/fhir/AuditEvent?{search}"
    while url is not None:
        answer = await client.get(url)
        assert answer.status_code == 200, answer.text
        page = json.loads(answer.text, parse_float=Decimal)
        found += [entry["resource"] for entry in page.get("entry", [])]
        url = next((each["url"] for each in page["link"] if each["relation"] == "next"), None)
    return found


def said(event: Json) -> tuple[str, str, str, str]:
    """Who, what, how it ended, of whom."""
    who = "/".join(agent["name"] for agent in event["agent"])
    patients = [
        each["what"]["reference"].removeprefix("Patient/")
        for each in event.get("entity", [])
        if each.get("role", {}).get("code") == "1"
    ]
    return who, event["subtype"][0]["code"], event["outcome"], ",".join(sorted(patients))


async def test_each_request_is_on_record_and_conforms(ward: Ward) -> None:
    await ask_all_faces(ward)
    validator = Validator(require_definitions())
    async with client_of(ward, "auditor", "system/AuditEvent.rs") as client:
        found = await events(client, "_count=4")
        both = ",".join(sorted([str(ANNA), str(BERT)]))
        assert [said(each) for each in reversed(found)] == [
            ("ehr", "search-type", "0", str(BERT)),
            ("ehr", "read", "0", str(BERT)),
            ("ehr", "search-type", "0", both),
            ("ehr", "read", "4", ""),
            ("ehr", "search-type", "4", ""),
            ("ehr", "search-type", "0", str(ANNA)),
            ("ehr", "read", "0", str(ANNA)),
            ("ehr", "query", "0", ""),
            ("unknown", "search-type", "4", ""),
            (LOGIN, "110122", "4", ""),
            (LOGIN, "110122", "0", ""),
            (LOGIN, "view", "0", str(ANNA)),
            (LOGIN, "110123", "0", ""),
        ]
        for event in found:
            assert not validator.issues(event)
            get_fhir_model_class("AuditEvent").model_validate_json(json.dumps(event, default=str))
            read = await client.get(f"/fhir/AuditEvent/{event['id']}")
            assert json.loads(read.text, parse_float=Decimal) == event
            assert "A-1" not in json.dumps(event)  # what a form looked for
        await each_parameter_filters(client, found)


async def test_whoever_is_asked_for_is_on_record_where_the_answer_names_nobody(
    ward: Ward,
) -> None:
    await ward.store_event(One("spo2", START, 97, device=CLIP))  # Bert's
    async with ward.client() as client:
        [reading] = (await client.get(f"/fhir/Observation?patient={BERT}")).json()["entry"]
        device = reading["resource"]["device"]["reference"]

        def bundle(kind: str, *urls: str) -> Json:
            entries = [{"request": {"method": "GET", "url": each}} for each in urls]
            return {"resourceType": "Bundle", "type": kind, "entry": entries}

        form = {"patient": f"Patient/{ANNA}", "_elements": "code"}
        await client.post("/fhir/Observation/_search", data=form)
        await client.post("/fhir/Task/_search", data={**form, "_summary": "count"})
        await client.get(f"/fhir/Observation?device={device}&_elements=status")
        await client.get("/fhir/Observation?patient.identifier=B-1&_summary=count")
        await client.post("/fhir", json=bundle("batch", f"Patient/{ANNA}"))
        await client.post("/fhir", json=bundle("transaction", f"Patient/{BERT}", "Patient/none"))
        counted = bundle("batch", f"Observation?patient={ANNA}&_summary=count")
        await client.post("/fhir", json=counted)
    async with client_of(ward, "writer", "system/*.cruds") as client:
        subject = {"reference": f"Patient/{ANNA}"}
        task = {"resourceType": "Task", "status": "draft", "intent": "order", "for": subject}
        quietly = {"Prefer": "return=minimal"}
        made = await client.post("/fhir/Task", json=task, headers=quietly)
        assert made.status_code == 201 and not made.content
        entry = {"request": {"method": "POST", "url": "Task"}, "resource": task}
        await client.post("/fhir", json={**bundle("batch"), "entry": [entry]}, headers=quietly)
    async with client_of(ward, "auditor", "system/AuditEvent.rs") as client:
        found = [said(each) for each in reversed(await events(client))][1:]
    assert found == [
        ("ehr", "search-type", "0", str(ANNA)),
        ("ehr", "search-type", "0", str(ANNA)),
        ("ehr", "search-type", "0", str(BERT)),
        ("ehr", "search-type", "0", str(BERT)),
        ("ehr", "batch", "0", str(ANNA)),
        ("ehr", "transaction", "0", str(BERT)),
        ("ehr", "batch", "0", str(ANNA)),
        ("writer", "create", "0", str(ANNA)),
        ("writer", "batch", "0", str(ANNA)),
    ]


async def each_parameter_filters(client: httpx.AsyncClient, everything: list[Json]) -> None:
    """All that the statement declares."""
    reading = next(
        each["entity"][-1]["what"]["reference"]
        for each in everything
        if said(each)[:3] == ("ehr", "read", "0") and "Observation" in json.dumps(each)
    )
    middle = everything[5]["recorded"]
    values = {
        "_id": everything[3]["id"], "_lastUpdated": f"lt{middle}", "action": "R",
        "address": "127", "agent-name": "EHR", "date": f"ge{middle}", "entity": reading,
        "outcome": "4", "patient": str(BERT), "subtype": "110122", "type": "110114",
    }  # fmt: skip
    assert values.keys() == AUDIT_PARAMETERS.keys()
    whole = {each["id"] for each in everything}
    for name, value in values.items():
        found = {each["id"] for each in await events(client, f"{name}={value}")} & whole
        # In a test all requests come from one place.
        assert found and (found < whole or name == "address"), name
        nobody = "lt2000" if name in ("date", "_lastUpdated") else "nobody"
        assert not await events(client, f"{name}={nobody}"), name
    assert await events(client, f"entity={BASE}/fhir/{reading}")
    assert not await events(client, f"entity=https://other.example/fhir/{reading}")


async def test_only_who_may_reads_it(ward: Ward) -> None:
    """A scope must name it; a token for a patient sees what is about this patient, and no other."""
    await ask_all_faces(ward)
    async with ward.client() as client:  # system/*.rs
        assert (await client.get("/fhir/AuditEvent")).status_code == 403
    async with client_of(ward, "all", "system/*.cruds") as client:
        assert (await client.get("/fhir/AuditEvent")).status_code == 403
    async with client_of(ward, "app", "patient/AuditEvent.rs", patient=BERT) as client:
        found = await events(client)
        assert [said(each)[:3] for each in reversed(found)] == [
            ("ehr", "search-type", "0"), ("ehr", "read", "0"), ("ehr", "search-type", "0"),
        ]  # fmt: skip
        assert str(ANNA) not in json.dumps(found)
        assert {said(each)[3] for each in found} == {str(BERT)}
        assert not await events(client, f"patient={ANNA}")
    async with client_of(ward, "auditor", "system/AuditEvent.rs") as client:
        others = await events(client, f"patient={ANNA}")
    async with client_of(ward, "app", "patient/AuditEvent.rs", patient=BERT) as client:
        for each in others:
            answer = await client.get(f"/fhir/AuditEvent/{each['id']}")
            assert answer.status_code == (200 if str(BERT) in json.dumps(each) else 404)


async def test_entries_stay_until_their_time_is_over(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database changes none; an away database loses none; retention removes the old."""
    put = type(ward.store).put_audit
    tried = 0

    async def away(store: Any, entries: Any) -> None:
        nonlocal tried
        tried += 1
        if tried == 1:
            raise StorageError("away")
        await put(store, entries)

    monkeypatch.setattr(type(ward.store), "put_audit", away)
    async with ward.client() as client:
        await client.get("/fhir/Patient")
        await wait_until(lambda: tried >= 1)
    assert tried >= 2
    rows = await ward.store.audit_events(AuditQuery(None))
    assert [row.interaction for row in rows] == ["search-type"]
    for statement in ("UPDATE audit_event SET login = 'x'", "DELETE FROM audit_event",
                      "TRUNCATE audit_event"):  # fmt: skip
        with pytest.raises(Exception, match="only added to"):
            await run(ward, statement)
    now = datetime.now(UTC)
    assert await ward.store.forget_audit(older_than=now - timedelta(days=1)) == 0
    assert await ward.store.forget_audit(older_than=now + timedelta(days=1)) == 1
    with pytest.raises(Exception, match="only added to"):
        await run(ward, "TRUNCATE audit_event")


async def run(ward: Ward, statement: str) -> None:
    """What an administrator might try."""
    async with ward.store._connections.acquire() as connection:  # type: ignore[attr-defined]
        await connection.execute(statement)


async def test_what_was_sent_and_read_by_nodes_conforms(ward: Ward) -> None:
    """Entries that no request made: who sent, who got it, whose data."""
    at = START.timestamp()
    sent = [
        AuditEntry(at, "notice", "R", "notice", 200, "Subscription", "s1", "", "ehr", "",
                   "10.0.0.9", str(ANNA)),
        AuditEntry(at, "hl7", "R", "message", 500, "", "c-1", "", "LAB", "", "", str(BERT)),
        AuditEntry(at, "dimse", "R", "retrieve", 0, "ImagingStudy", "1.2.3", "", "VIEW@10.0.0.8",
                   "", "10.0.0.8", str(BERT)),
    ]  # fmt: skip
    await ward.store.put_audit(sent)
    validator = Validator(require_definitions())
    async with client_of(ward, "auditor", "system/AuditEvent.rs") as client:
        found = await events(client)
        for event in found:
            assert not validator.issues(event)
        assert [(said(each), each["type"]["code"]) for each in reversed(found)] == [
            (("Wardlight/ehr", "notice", "0", str(ANNA)), "110106"),
            (("Wardlight/LAB", "message", "8", str(BERT)), "110106"),
            (("VIEW@10.0.0.8", "retrieve", "0", str(BERT)), "110103"),
        ]
        for search, many in (("type=110106", 2), ("type=110103", 1), ("agent-name=LAB", 1)):
            assert len(await events(client, search)) == many, search
