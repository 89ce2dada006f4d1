"""Notices by rest-hook: each event once or more, in order, whatever becomes of the receiver."""

import json
from functools import partial
from typing import Any

import httpx
from fhir.resources.R4B.bundle import Bundle

from support.notice_receiver import BUSY, MOVED, OK, SILENT, Receiver
from support.readings import One
from support.served_ward import ANNA, BERT, CLIP, CUFF, MINUTE, START, Ward
from support.stored_resources import created, task
from support.subscribed_ward import extension, is_in, status_of, subscribed, subscription
from support.waiting import wait_until


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
    await wait_until(lambda: 2 in receiver.numbers(), what="the second event")
    assert receiver.focuses()[2] is None  # a number and a time, nothing of what is Bert's
    assert [each.get("focus") for each in await events_of(client, hers)] == [None, None]
    assert str(BERT) not in str([each.body for each in receiver.notices])
    assert his.status_code == 201


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
