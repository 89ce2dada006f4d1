"""Notices by rest-hook: each event once or more, in order, whatever becomes of the receiver."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import httpx
import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.operationoutcome import OperationOutcome

from support.notice_receiver import BUSY, MOVED, OK, SILENT, Receiver, receiving
from support.readings import One
from support.served_ward import ANNA, BASE, BERT, CLIP, CUFF, MINUTE, START, Ward
from support.stored_resources import created, observation, task
from support.subscribed_ward import extension, is_in, status_of, subscribed, subscription
from support.waiting import wait_until
from wardlight_cloud.security.tokens import new_token, token_hash
from wardlight_cloud.store.audit import AuditQuery, AuditRow
from wardlight_cloud.store.authorization import ClientRow, Grant, NewTokens


async def events_of(client: httpx.AsyncClient, name: str, query: str = "") -> list[dict[str, Any]]:
    answer = await client.get(f"/fhir/Subscription/{name}/$events{query}")
    assert answer.status_code == 200, answer.text
    (status, *_) = answer.json()["entry"]
    found = [
        e["part"] for e in status["resource"]["parameter"] if e["name"] == "notification-event"
    ]
    return [
        {p["name"]: next(v for k, v in p.items() if k.startswith("value")) for p in each}
        for each in found
    ]


async def test_each_event_arrives_in_order(
    ward: Ward, client: httpx.AsyncClient, receiver: Receiver
) -> None:
    await ward.store_event(One("heart_rate", START - MINUTE, 60, device=CUFF))  # before it began
    name, secret = await subscribed(
        client,
        subscription(
            f"Observation?patient={ANNA}", receiver.url,
            extensions=[extension("timeout", valueUnsignedInt=1)],
        ),
    )  # fmt: skip
    await wait_until(lambda: is_in(client, name, "active"), what="it is active")
    (handshake,) = receiver.notices
    assert handshake.kind == "handshake" and handshake.path == "/hook?site=1"
    assert handshake.headers["authorization"] == "Bearer of-the-receiver"

    async def shown() -> dict[str, Any]:
        kept: dict[str, Any] = (await client.get(f"/fhir/Subscription/{name}")).json()
        return kept if kept["status"] == "active" else {}

    kept = await wait_until(shown, what="the resource says so")
    assert secret not in str(kept)

    await ward.store_event(One("heart_rate", START, 71, device=CUFF))
    await ward.store_event(One("spo2", START, 97, device=CLIP))  # another patient's
    await wait_until(lambda: receiver.numbers() == [1], what="the first event")
    for step, trouble in enumerate((BUSY, MOVED, SILENT, None), 1):
        before = len(receiver.notices)
        if trouble is None:
            receiver.stop()
        else:
            receiver.behaviour = trouble
        await ward.store_event(One("heart_rate", START + step * MINUTE, 72, device=CUFF))
        if trouble is None:
            await wait_until(lambda: _has_failed(client, name), what="a failure is noted")
            await receiver.listen()
        else:
            await wait_until(partial(_more, receiver, before), what="it was tried")
        receiver.behaviour = OK
        await wait_until(partial(_ends_with, receiver, step + 1), what="it arrived")
    numbers = receiver.numbers()
    assert sorted(set(numbers)) == [1, 2, 3, 4, 5]
    assert numbers == sorted(numbers)
    assert all(each.is_signed_with(secret) for each in receiver.notices)
    assert all(Bundle.model_validate_json(each.body).type == "history" for each in receiver.notices)
    assert not any(each.is_signed_with(secret + "x") for each in receiver.notices)
    for each in receiver.taken():
        assert str(ANNA) not in each.body.decode() and b"value" + b"Quantity" not in each.body
    search = f"Observation?patient={ANNA}&date=ge{START:%Y-%m-%dT%H:%M:%SZ}"
    page = (await client.get(f"/fhir/{search}")).json()
    base = page["link"][0]["url"].partition("/Observation")[0]
    ids = {f"{base}/Observation/{entry['resource']['id']}" for entry in page["entry"]}
    assert set(receiver.focuses().values()) == ids

    # Whoever has lost some asks for them by number.
    lost = await events_of(client, name, "?eventsSinceNumber=2&eventsUntilNumber=3")
    assert [each["event-number"] for each in lost] == ["2", "3"]
    assert {each["focus"]["reference"] for each in lost} < ids
    assert (await status_of(client, name))["events-since-subscription-start"] == "5"
    for path in (f"{name}/$status", f"{name}/$events", f"$status?id={name}&status=active"):
        answer = await client.get(f"/fhir/Subscription/{path}")
        assert Bundle.model_validate_json(answer.text).entry, path
    since = {"name": "eventsSinceNumber", "valueString": "5"}
    parameter = [since, {"name": "content", "valueCode": "empty"}]
    posted = {"resourceType": "Parameters", "parameter": parameter}
    answer = await client.post(f"/fhir/Subscription/{name}/$events", json=posted)
    assert str(answer.json()).count("event-number") == 1 and "focus" not in answer.text


def _more(receiver: Receiver, before: int) -> bool:
    return len(receiver.notices) > before


def _ends_with(receiver: Receiver, number: int) -> bool:
    return receiver.numbers()[-1] == number


async def _has_failed(client: httpx.AsyncClient, name: str) -> bool:
    return "error" in await status_of(client, name)


async def test_corrections_and_other_patients(
    ward: Ward, client: httpx.AsyncClient, receiver: Receiver
) -> None:
    hers, _ = await subscribed(client, subscription(f"Observation?patient={ANNA}", receiver.url))
    await wait_until(lambda: is_in(client, hers, "active"), what="it is active")
    await ward.store_event(One("heart_rate", START, 71, device=CUFF))
    await wait_until(lambda: receiver.numbers() == [1], what="the first event")
    first = receiver.focuses()[1]

    # While the receiver is away the device turns out to have been Bert's.
    receiver.stop()
    await ward.store_event(One("heart_rate", START + MINUTE, 72, device=CUFF))
    await wait_until(lambda: _has_failed(client, hers), what="a failure is noted")
    (held,) = await ward.store.assignments(device_id=ward.devices[CUFF])
    await ward.store.unassign(held.assignment_id, valid_to=START)
    await ward.store.assign(ward.devices[CUFF], BERT, user=None, valid_from=START)
    his = await client.post(
        "/fhir/Subscription", json=subscription(f"Observation?patient={BERT}", receiver.url)
    )
    await receiver.listen()
    await wait_until(lambda: 4 in receiver.numbers(), what="both are hers no longer")
    assert receiver.focuses()[2] is None  # a number and a time, nothing of what is Bert's
    assert receiver.focuses()[3] == first  # what she is told to look for is not hers any more
    told = [each.get("focus") for each in await events_of(client, hers)]
    assert told[:2] == [None, None] and told[3] is not None
    assert told[2] is not None and told[2]["reference"] == first
    assert str(BERT) not in str([each.body for each in receiver.notices])
    assert his.status_code == 201


async def test_a_reading_that_left_its_patient(
    ward: Ward, client: httpx.AsyncClient, receiver: Receiver
) -> None:
    """Who asks for the former patient's is told that it is gone; who asks for all, where it is."""
    async with _for_anna(ward) as hers, _receiving_all(ward, client) as (everybody, all_of_it):
        whole = subscription("Observation", receiver.url, "full-resource")
        name, _ = await subscribed(hers, whole)
        await wait_until(lambda: is_in(hers, name, "active"), what="it is active")
        await wait_until(lambda: is_in(client, everybody, "active"), what="it is active, too")
        await ward.store_event(One("heart_rate", START, 71, device=CUFF))
        await ward.store_event(One("heart_rate", START + MINUTE, 72, device=CUFF))
        await wait_until(lambda: receiver.numbers() == [1, 2], what="both readings")
        await wait_until(lambda: all_of_it.numbers() == [1, 2], what="both readings, there too")
        told = receiver.focuses()
        await ward.store.assign(ward.devices[CUFF], BERT, user=None, valid_from=START + MINUTE)
        await wait_until(lambda: receiver.numbers() == [1, 2, 3], what="it is told")
        assert receiver.focuses()[3] == told[2]
        bundle = json.loads(receiver.taken()[-1].body)
        assert Bundle.model_validate(bundle).type == "history"
        (entry,) = bundle["entry"][1:]
        assert entry["request"]["method"] == "DELETE" and "resource" not in entry
        assert told[2] == entry["fullUrl"] == f"{BASE}/fhir/{entry['request']['url']}"
        assert str(BERT) not in receiver.taken()[-1].body.decode()
        # It is found as Bert's by the other one, who is told of it once.
        await wait_until(lambda: all_of_it.numbers() == [1, 2, 3], what="it is told of Bert's")
        (entry,) = json.loads(all_of_it.taken()[-1].body)["entry"][1:]
        assert entry["resource"]["subject"]["reference"] == f"Patient/{BERT}"

        # Nobody's, then hers again before anybody was told.
        receiver.stop()
        (held,) = [
            each
            for each in await ward.store.assignments(device_id=ward.devices[CUFF])
            if each.patient_id == BERT
        ]
        await ward.store.unassign(held.assignment_id, valid_to=held.valid_from)
        await wait_until(lambda: all_of_it.numbers() == [1, 2, 3, 4], what="it is nobody's")
        (entry,) = json.loads(all_of_it.taken()[-1].body)["entry"][1:]
        assert entry["request"]["method"] == "DELETE"
        await ward.store.assign(ward.devices[CUFF], ANNA, user=None, valid_from=START + MINUTE)
        await receiver.listen()
        await wait_until(lambda: 4 in receiver.numbers(), what="it is hers again")
        (entry,) = json.loads(receiver.taken()[-1].body)["entry"][1:]
        assert entry["resource"]["subject"]["reference"] == f"Patient/{ANNA}"


async def test_a_written_resource_that_left_its_patient(
    ward: Ward, client: httpx.AsyncClient, receiver: Receiver
) -> None:
    """Who asks for the former patient's is told, and of what; who asks for the next one's, too."""
    made = await created(client, observation())
    name = made["id"]
    async with _for_anna(ward) as hers, receiving() as of_anna, receiving() as of_bert:
        whole = subscription("Observation", receiver.url, "full-resource")
        told = [await subscribed(hers, whole)]
        for patient, where in ((ANNA, of_anna), (BERT, of_bert)):
            criteria = f"Observation?patient={patient}&code=8867-4"
            told.append(
                await subscribed(client, subscription(criteria, where.url, "full-resource"))
            )
        for (each, _), by in zip(told, (hers, client, client), strict=True):
            await wait_until(partial(is_in, by, each, "active"), what="it is active")
        # What stays hers is told as ever, and once.
        noted = {**made, "note": [{"text": "x"}]}
        assert (await client.put(f"/fhir/Observation/{name}", json=noted)).status_code == 200
        await wait_until(lambda: receiver.numbers() == [1], what="it was changed")
        await wait_until(lambda: of_anna.numbers() == [1], what="it was changed")
        moved = {**made, "subject": {"reference": f"Patient/{BERT}"}}
        assert (await client.put(f"/fhir/Observation/{name}", json=moved)).status_code == 200
        await wait_until(lambda: receiver.numbers() == [1, 2], what="hers: it is gone")
        await wait_until(lambda: of_anna.numbers() == [1, 2], what="it is no more Anna's")
        await wait_until(lambda: of_bert.numbers() == [1], what="it is Bert's")
        assert receiver.focuses()[2] == f"{BASE}/fhir/Observation/{name}"
        (entry,) = json.loads(receiver.taken()[-1].body)["entry"][1:]
        assert entry["request"]["method"] == "DELETE" and "resource" not in entry
        assert str(BERT) not in receiver.taken()[-1].body.decode()
        # Who may see both is told its name alone: it is where that leads.
        assert of_anna.focuses()[2] == f"{BASE}/fhir/Observation/{name}"
        assert all("resource" not in e for e in json.loads(of_anna.taken()[-1].body)["entry"][1:])
        (entry,) = json.loads(of_bert.taken()[-1].body)["entry"][1:]
        assert entry["resource"]["subject"]["reference"] == f"Patient/{BERT}"


async def test_a_written_resource_that_was_deleted(
    ward: Ward, client: httpx.AsyncClient, receiver: Receiver
) -> None:
    """Told to those that its last version was one of; also where it is told after all is over."""
    async with _for_anna(ward) as hers, receiving() as of_all:
        told = [
            (hers, subscription("Task", receiver.url, "full-resource")),
            (client, subscription("Task?status=requested", of_all.url)),
        ]
        for by, wanted in told:
            name, _ = await subscribed(by, wanted)
            await wait_until(partial(is_in, by, name, "active"), what="it is active")
        first, other = await created(client, task(ANNA)), await created(client, task(BERT))
        done = await created(client, task(ANNA, status="completed"))
        await wait_until(lambda: receiver.numbers() == [1, 2], what="Anna's two")
        await wait_until(lambda: of_all.numbers() == [1, 2], what="the two that are requested")
        receiver.stop()
        for each in (other, done, first):
            assert (await client.delete(f"/fhir/Task/{each['id']}")).status_code == 204
        await wait_until(lambda: of_all.numbers() == [1, 2, 3, 4], what="two are deleted")
        await receiver.listen()
        await wait_until(lambda: set(receiver.numbers()) == {1, 2, 3, 4}, what="Anna's, too")
        url = f"{BASE}/fhir/Task/"
        assert [of_all.focuses()[n] for n in (3, 4)] == [url + other["id"], url + first["id"]]
        assert [receiver.focuses()[n] for n in (3, 4)] == [url + done["id"], url + first["id"]]
        gone = [
            entry
            for each in receiver.taken()
            for entry in json.loads(each.body)["entry"][1:]
            if entry["request"]["method"] == "DELETE"
        ]
        assert [entry["fullUrl"] for entry in gone] == [url + done["id"], url + first["id"]]
        assert all("resource" not in entry for entry in gone)
        # What is made anew under the id is told as it is.
        again = await client.put(f"/fhir/Task/{first['id']}", json={**first, "id": first["id"]})
        assert again.status_code == 201, again.text
        await wait_until(lambda: 5 in receiver.numbers(), what="it is there again")
        (entry,) = json.loads(receiver.taken()[-1].body)["entry"][1:]
        assert entry["resource"]["id"] == first["id"]


@asynccontextmanager
async def _for_anna(ward: Ward) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an app that a user has let see Anna's."""
    token, scopes = new_token(), ("patient/*.cruds",)
    await ward.store.put_registration(ClientRow("app", scopes, is_public=True))
    tokens = NewTokens(token_hash(token), 600)
    await ward.store.grant(Grant("app", scopes, "nurse", ANNA), tokens)
    transport = httpx.ASGITransport(ward.app)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/fhir+json"}
    async with httpx.AsyncClient(
        transport=transport, base_url=BASE, headers=headers, timeout=180
    ) as client:
        yield client


@asynccontextmanager
async def _receiving_all(
    ward: Ward, client: httpx.AsyncClient
) -> AsyncIterator[tuple[str, Receiver]]:
    async with receiving() as receiver:
        whole = subscription("Observation", receiver.url, "full-resource")
        name, _ = await subscribed(client, whole)
        yield name, receiver


async def test_notices_that_name_something_are_on_record(
    ward: Ward, client: httpx.AsyncClient, receiver: Receiver
) -> None:
    """One entry for each that was sent, also one that was refused; none for a handshake."""
    name, _ = await subscribed(client, subscription(f"Observation?patient={ANNA}", receiver.url))
    empty = subscription(f"Observation?patient={ANNA}", receiver.url, None)
    other, _ = await subscribed(client, empty)
    for each in (name, other):
        await wait_until(partial(is_in, client, each, "active"), what="it is active")
    receiver.behaviour = BUSY
    readings = [One("heart_rate", START + n * MINUTE, 70 + n, device=CUFF) for n in range(3)]
    await ward.store_each(readings)
    await wait_until(lambda: _has_failed(client, name), what="a failure is noted")
    receiver.behaviour = OK
    await wait_until(lambda: receiver.numbers().count(3) == 2, what="both arrive")

    async def entries() -> list[AuditRow]:
        rows = await ward.store.audit_events(AuditQuery(None, faces=("notice",)))
        return list(rows) if rows and rows[0].status == 200 else []

    rows = await wait_until(entries, what="it is on record")
    assert {row.resource_id for row in rows} == {name}
    assert [row.status for row in rows] == [200, *[503] * (len(rows) - 1)] and len(rows) > 1
    assert {(row.patients, row.address) for row in rows} == {((ANNA,), "localhost")}
    refused = [n for n in receiver.notices if n.status == BUSY and b"focus" in n.body]
    assert len(rows) == len(refused) + 1
    receiver.stop()
    await ward.store_event(One("heart_rate", START + 9 * MINUTE, 79, device=CUFF))
    await wait_until(lambda: _has_failed(client, name), what="nobody is there")
    await receiver.listen()

    async def two_were_taken() -> list[AuditRow]:
        rows = await entries()
        return rows if [row.status for row in rows].count(200) == 2 else []

    both = await wait_until(two_were_taken, what="the next one is on record, too")
    assert len(both) == len(rows) + 1, "nothing was sent to nobody"


async def test_resources_of_any_kind(
    ward: Ward, client: httpx.AsyncClient, receiver: Receiver
) -> None:
    topic = "urn:wardlight:fhir:topic:Task"
    name, _ = await subscribed(
        client,
        subscription(
            topic, receiver.url, "full-resource",
            _criteria={"extension": [
                extension("filter-criteria", valueString=f"Task?patient={ANNA}&status=requested"),
            ]},
            extensions=[extension("max-count", valuePositiveInt=2)],
        ),
    )  # fmt: skip
    await wait_until(lambda: is_in(client, name, "active"), what="it is active")
    made = [await created(client, task(ANNA)) for _ in range(3)]
    await created(client, task(BERT))
    await created(client, task(ANNA, status="completed"))
    made[0]["description"] = "changed"
    assert (await client.put(f"/fhir/Task/{made[0]['id']}", json=made[0])).status_code == 200
    await wait_until(lambda: len(set(receiver.numbers())) == 4, what="four events")
    assert receiver.numbers() == [1, 2, 3, 4]
    told = [each.parameters for each in receiver.taken()]
    assert all(len(each["events"]) <= 2 and each["topic"] == topic for each in told)
    wanted = [each["id"] for each in made] + [made[0]["id"]]
    assert [focus and focus.rpartition("/")[2] for focus in receiver.focuses().values()] == wanted
    bundle = json.loads(receiver.taken()[-1].body)
    assert bundle["entry"][-1]["resource"]["description"] == "changed"
    assert (await client.delete(f"/fhir/Subscription/{name}")).status_code == 204
    await created(client, task(ANNA))
    assert (await client.get(f"/fhir/Subscription/{name}/$status")).status_code == 404


@pytest.mark.parametrize(
    "parameter",
    [5, [5], [{"valueCode": "active"}], [{"name": "status"}],
     [{"name": "status", "valueCode": {"a": "b"}}],
     [{"name": "status", "valueCode": "active", "valueString": "active"}]],
)  # fmt: skip
async def test_operations_refuse_parameters_that_are_none(
    client: httpx.AsyncClient, parameter: object
) -> None:
    """A condition that is not understood must not be left out: all would be told."""
    body = {"resourceType": "Parameters", "parameter": parameter}
    answer = await client.post("/fhir/Subscription/$status", json=body)
    assert answer.status_code == 400, answer.text
    assert OperationOutcome.model_validate_json(answer.text).issue


async def test_octets_that_are_no_text_narrow_nothing_silently(client: httpx.AsyncClient) -> None:
    assert (await client.get("/fhir/Subscription/$status?status=%FF")).status_code == 400
