"""Who may subscribe to what, where to, and until when notices go: permission counts at each one."""

from functools import partial
from typing import Any

import httpx
import pytest

from support.notice_receiver import Receiver
from support.readings import One
from support.served_ward import ANNA, BERT, CLIP, CUFF, MINUTE, START, Ward
from support.subscribed_ward import (
    MOST,
    SECRET,
    extension,
    is_in,
    status_of,
    subscribed,
    subscription,
)
from support.waiting import wait_until
from wardlight_cloud.fhir.stored.kinds import BESIDE_OWN
from wardlight_cloud.security.tokens import new_token, token_hash
from wardlight_cloud.store.authorization import ClientRow, Grant, NewTokens

HOOK = "https://receiver.example/hook"
FHIR = {"Content-Type": "application/fhir+json"}


async def test_what_is_refused(ward: Ward, client: httpx.AsyncClient) -> None:
    topic = "urn:wardlight:fhir:topic:"
    vitals: Any = f"Observation?patient={ANNA}"
    for element, resource in (
        ("criteria", subscription("Nothing?x=1", HOOK)),
        ("criteria", subscription("Observation?date=soon", HOOK)),
        ("criteria", subscription("Observation?_lastUpdated=gt2026", HOOK)),
        ("criteria", subscription("Observation?_sort=date", HOOK)),
        ("criteria", subscription("Observation?value-quantity=many", HOOK)),
        ("criteria", subscription("Observation?code-value-quantity=8867-4", HOOK)),
        ("criteria", subscription("Observation?patient.identifier=A-1", HOOK)),
        ("criteria", subscription("Task?_has:Task:part-of:status=draft", HOOK)),
        ("criteria", subscription("Task?authored-on=never", HOOK)),
        ("criteria", subscription("Task?patient.name=Anna", HOOK)),
        ("criteria", subscription("Task?nothing=1", HOOK)),
        ("criteria", subscription("Observation?code=", HOOK)),
        ("criteria", subscription("Subscription?status=active", HOOK)),
        ("criteria", subscription("https://example.org/SubscriptionTopic/admission", HOOK)),
        ("criteria", subscription(topic + "Nothing", HOOK)),
        ("criteria", subscription("DeviceMetric?source=Device/x", HOOK)),
        ("criteria", subscription("Device", HOOK)),
        ("criteria", subscription(f"ServiceRequest?patient={ANNA}", HOOK)),
        ("criteria", subscription(f"DocumentReference?patient={ANNA}", HOOK)),
        ("criteria", subscription("Provenance?target=Observation/x", HOOK)),
        ("criteria", subscription(
            "Observation?category=urn:wardlight:observation-kind|average-minute", HOOK)),
        ("criteria", subscription(topic + "Task", HOOK, _criteria={"extension": [
            extension("filter-criteria", valueString="Group?code=x")]})),
        ("channel.endpoint", subscription(vitals, "http://receiver.example/hook")),
        ("channel.endpoint", subscription(vitals, "ftp://receiver.example/hook")),
        ("channel.endpoint", subscription(vitals, "https://user:pass@receiver.example/")),
        ("channel.endpoint", subscription(vitals, "https://169.254.169.254/latest")),
        ("channel.endpoint", subscription(vitals, "https://10.0.0.7/hook")),
        ("channel.endpoint", subscription(vitals, "https://[::ffff:192.168.0.1]/hook")),
        ("channel.type", {**subscription(vitals, HOOK), "channel": {"type": "email"}}),
        ("channel.payload", subscription(vitals, HOOK, "everything")),
        ("channel.extension", subscription(
            vitals, HOOK, extensions=[extension("heartbeat-period", valueUnsignedInt=1)])),
        ("end", subscription(vitals, HOOK, end="2020-01-01T00:00:00Z")),
    ):  # fmt: skip
        answer = await client.post("/fhir/Subscription", json=resource)
        assert answer.status_code == 422, (element, resource["criteria"], answer.text)
        (issue,) = answer.json()["issue"]
        assert issue["expression"] == [f"Subscription.{element}"], (resource, answer.text)
    with_header = subscription(vitals, HOOK)
    for header in ("Host: elsewhere", "X: a\r\nY: b", "no colon", "Wardlight-Signature: v1=0"):
        with_header["channel"]["header"] = [header]
        answer = await client.post("/fhir/Subscription", json=with_header)
        assert answer.status_code in (400, 422), (header, answer.text)
    assert (await client.get("/fhir/Subscription?_summary=count")).json()["total"] == 0


@pytest.mark.parametrize("kind", sorted(BESIDE_OWN))
async def test_what_is_written_of_a_kind_that_is_made_here_has_a_topic(
    client: httpx.AsyncClient, kind: str
) -> None:
    asked = subscription(f"urn:wardlight:fhir:topic:{kind}", HOOK, _criteria={"extension": [
        extension("filter-criteria", valueString=f"{kind}?_id=x")]})  # fmt: skip
    answer = await client.post("/fhir/Subscription", json=asked)
    assert answer.status_code == 201, answer.text


async def test_a_subscription_is_its_owner_s(ward: Ward, client: httpx.AsyncClient) -> None:
    for _ in range(MOST):
        name, secret = await subscribed(client, subscription(f"Task?patient={ANNA}", HOOK))
    too_many = await client.post("/fhir/Subscription", json=subscription("Task", HOOK))
    assert too_many.status_code == 422 and "delete some" in too_many.text
    renewed = await client.post(f"/fhir/Subscription/{name}/$renew-secret")
    assert renewed.json()["parameter"][0]["valueString"] not in (secret, "")
    kept = (await client.get(f"/fhir/Subscription/{name}")).json()
    other = await _as(ward, "other", "system/*.cruds")
    assert (await client.get("/fhir/Subscription", headers=other)).json().get("entry") is None
    for method, path in (
        ("GET", name), ("GET", f"{name}/_history"), ("PUT", name), ("DELETE", name),
        ("GET", f"{name}/$status"), ("GET", f"{name}/$events"),
        ("POST", f"{name}/$renew-secret"), ("GET", f"{name}/$get-ws-binding-token"),
    ):  # fmt: skip
        body = kept if method == "PUT" else None
        answer = await client.request(
            method, f"/fhir/Subscription/{path}", json=body, headers=other
        )
        assert answer.status_code == 404 and SECRET not in answer.headers, (method, path)
    all_of_it = await client.get("/fhir/Subscription/$status", headers=other)
    assert all_of_it.json()["total"] == 0
    assert (await client.get(f"/fhir/Subscription/{name}")).status_code == 200

    narrow = await _as(ward, "narrow", "system/Subscription.cruds")
    wanted = subscription("Task", HOOK)
    answer = await client.post("/fhir/Subscription", json=wanted, headers=narrow)
    assert answer.status_code == 403, answer.text
    searching = await _as(ward, "searching", "system/Subscription.cruds", "system/Task.s")
    whole = subscription("Task", HOOK, "full-resource")
    answer = await client.post("/fhir/Subscription", json=whole, headers=searching)
    assert answer.status_code == 403, answer.text
    answer = await client.post("/fhir/Subscription", json=wanted, headers=searching)
    assert answer.status_code == 201, answer.text


async def _as(ward: Ward, name: str, *scopes: str) -> dict[str, str]:
    """Headers of another client."""
    token = new_token()
    await ward.store.put_client(name, token_hash(token), list(scopes))
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("ends", ["client", "token", "grant", "scope"])
async def test_who_has_lost_the_permission_is_told_nothing(
    ward: Ward, receiver: Receiver, ends: str
) -> None:
    token, scopes = new_token(), ("patient/*.cruds",)
    if ends == "grant":
        await ward.store.put_registration(ClientRow("app", scopes, is_public=True))
        tokens = NewTokens(token_hash(token), 600)
        await ward.store.grant(Grant("app", scopes, "nurse", ANNA), tokens)
    else:
        await ward.store.put_client("app", token_hash(token), ["system/*.cruds"])
    async with ward.client(token=token) as client:
        client.headers.update(FHIR)
        # An app for one patient that asks for everybody's is told of its own.
        criteria = "Observation" if ends == "grant" else f"Observation?patient={ANNA},{BERT}"
        name, _ = await subscribed(client, subscription(criteria, receiver.url))
        await wait_until(lambda: is_in(client, name, "active"), what="it is active")
        await ward.store_event(One("spo2", START, 97, device=CLIP))
        await ward.store_event(One("heart_rate", START, 71, device=CUFF))
        many = 1 if ends == "grant" else 2
        await wait_until(lambda: len(receiver.numbers()) == many, what="those that are its own")
        if ends == "client":
            await ward.store.remove_client("app")
        elif ends == "token":
            await ward.store.put_client("app", token_hash(new_token()), ["system/*.cruds"])
        elif ends == "grant":
            await ward.store.revoke("app", token_hash(token))
        else:
            await ward.store.put_client("app", token_hash(token), ["system/Task.rs"])
        for step in (1, 2):
            await ward.store_event(One("heart_rate", START + step * MINUTE, 72, device=CUFF))

        async def is_off() -> bool:
            (row,) = await ward.store.subscriptions([name])
            return row.state == "off" and row.shown == "off"

        await wait_until(is_off, what="it is off")
        assert len(receiver.numbers()) == many
        held = await ward.store.resources_by_id("Subscription", [name], patients=None)
        assert b"permission" in (held[0].body or b"")


async def test_it_ends_and_begins_anew(client: httpx.AsyncClient, receiver: Receiver) -> None:
    name, _ = await subscribed(client, subscription("Task", receiver.url))
    await wait_until(lambda: is_in(client, name, "active"), what="it is active")
    for status, state in (("off", "off"), ("requested", "active")):
        kept = (await client.get(f"/fhir/Subscription/{name}")).json()
        kept["status"] = status
        changed = await client.put(f"/fhir/Subscription/{name}", json=kept)
        assert changed.status_code == 200 and SECRET not in changed.headers
        await wait_until(partial(is_in, client, name, state), what=f"it is {state}")
    assert len(receiver.taken("handshake")) == 2
    assert (await status_of(client, name))["events-since-subscription-start"] == "0"
