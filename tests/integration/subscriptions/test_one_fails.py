"""One subscription that fails, whatever at, stops no other one, and its owner reads why."""

from functools import partial
from typing import Any

import httpx
import pytest

from support.notice_receiver import Receiver, receiving
from support.readings import One
from support.served_ward import ANNA, CUFF, START, Ward
from support.stored_resources import created, task
from support.subscribed_ward import is_in, subscribed, subscription
from support.waiting import wait_until
from wardlight_cloud.fhir.stored.asker import Asker
from wardlight_cloud.fhir.subscriptions import taking, watching
from wardlight_cloud.fhir.subscriptions.definition import Definition, definition
from wardlight_cloud.fhir.subscriptions.delivering import Deliverer
from wardlight_cloud.fhir.subscriptions.matching import Wanted, compiled
from wardlight_cloud.store.resources import ResourceRow
from wardlight_cloud.store.subscriptions import Settled, SubscriptionRow
from wardlight_shared.errors import StorageError

BAD = "Task?status=rejected"


async def shown(client: httpx.AsyncClient, name: str) -> dict[str, Any]:
    answer: dict[str, Any] = (await client.get(f"/fhir/Subscription/{name}")).json()
    return answer


async def test_an_end_in_the_year_10000(client: httpx.AsyncClient, receiver: Receiver) -> None:
    for end in ("9999-12-31T23:59:59-05:00", "2099-12-31T23:59:60Z"):
        await subscribed(client, subscription("Task", receiver.url, end=end))
    name, _ = await subscribed(client, subscription(f"Task?patient={ANNA}", receiver.url))
    await wait_until(lambda: is_in(client, name, "active"), what="the others are taken, too")


@pytest.mark.parametrize("where", ["database", "reading", "rules", "compiling"])
async def test_what_cannot_be_taken(
    client: httpx.AsyncClient, ward: Ward, receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch, where: str,
) -> None:  # fmt: skip
    """The owner reads that it is off, and why; those behind it and before it are served."""
    define = ward.store.define_subscription

    async def defined(row: ResourceRow, **how: Any) -> None:
        if BAD.encode() in (row.body or b""):
            raise StorageError("define_subscription: the database refused (22000 DataError)")
        await define(row, **how)

    def read(resource: dict[str, Any]) -> Definition:
        if resource["criteria"] == BAD:
            resource = {**resource, "criteria": "Nothing"}
            if where == "reading":
                raise KeyError
        return definition(resource)

    def compiles(about: Definition, asker: Asker) -> Wanted:
        if ("status", "rejected") in about.criteria:
            raise OverflowError
        return compiled(about, asker)

    if where == "database":
        monkeypatch.setattr(ward.store, "define_subscription", defined)
    elif where == "compiling":
        monkeypatch.setattr(watching, "compiled", compiles)
    else:
        monkeypatch.setattr(taking, "definition", read)
    async with receiving() as other:
        first, _ = await subscribed(client, subscription("Task", receiver.url))
        await wait_until(lambda: is_in(client, first, "active"), what="it is active")
        bad, _ = await subscribed(client, subscription(BAD, other.url))
        last, _ = await subscribed(client, subscription("Task", receiver.url))
        await wait_until(lambda: is_in(client, last, "active"), what="the next one is active")
        await created(client, task(ANNA))
        await wait_until(lambda: receiver.numbers() == [1, 1], what="both others are told")

        async def is_off() -> dict[str, Any]:
            found = await shown(client, bad)
            return found if found["status"] == "off" else {}

        found = await wait_until(is_off, what="its owner reads that it is off")
        assert found["error"]
        monkeypatch.undo()
        changed = {**found, "status": "requested"}
        answer = await client.put(f"/fhir/Subscription/{bad}", json=changed)
        assert answer.status_code == 200, answer.text
        await wait_until(lambda: is_in(client, bad, "active"), what="it begins anew")


async def test_what_cannot_be_compared_is_told(
    client: httpx.AsyncClient, ward: Ward, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As far as its subscriber may see it; the other one is told of what it asks for alone."""
    takes_resource, takes_change = Wanted.takes_resource, Wanted.takes_change

    def takes(wanted: Wanted, *what: Any) -> bool:
        if wanted.kind == "Task" and len(wanted.conditions) == len(wanted.limits.conditions) + 2:
            raise OverflowError
        return takes_resource(wanted, *what)

    def takes_none(wanted: Wanted, *what: Any) -> bool:
        if wanted.patients is None:
            raise OverflowError
        return takes_change(wanted, *what)

    monkeypatch.setattr(Wanted, "takes_resource", takes)
    monkeypatch.setattr(Wanted, "takes_change", takes_none)
    criteria = (
        "Task?status=rejected&intent=order",
        "Task?status=requested",
        "Observation?code=nothing",
        f"Observation?patient={ANNA}",
    )
    names = [(await subscribed(client, subscription(c, receiver.url)))[0] for c in criteria]
    for name in names:
        await wait_until(partial(is_in, client, name, "active"), what="it is active")
    made = await created(client, task(ANNA))
    await ward.store_event(One("heart_rate", START, 71, device=CUFF))
    await wait_until(lambda: receiver.numbers() == [1, 1, 1, 1], what="all are told")
    told = [each["focus"] for n in receiver.taken() for each in n.parameters["events"]]
    assert sum(focus.endswith(made["id"]) for focus in told) == 2


async def test_a_notice_that_cannot_be_made(
    client: httpx.AsyncClient, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is in error, and goes on when it can be made again; the others go on meanwhile."""
    done = Deliverer._done
    failing = True

    async def fails(deliverer: Deliverer, row: SubscriptionRow) -> Settled:
        if failing and row.subscription_id == bad and row.is_matching:
            raise OverflowError
        return await done(deliverer, row)

    async with receiving() as other:
        bad, _ = await subscribed(client, subscription("Task", other.url))
        name, _ = await subscribed(client, subscription("Task", receiver.url))
        for each in (bad, name):
            await wait_until(partial(is_in, client, each, "active"), what="it is active")
        monkeypatch.setattr(Deliverer, "_done", fails)
        await created(client, task(ANNA))
        await wait_until(lambda: receiver.numbers() == [1], what="the other one is told")

        async def says_why() -> bool:
            found = await client.get(f"/fhir/Subscription/{bad}/$status")
            return "this server fails" in found.text

        await wait_until(says_why, what="its owner reads it")
        failing = False
        await wait_until(lambda: other.numbers() == [1], what="it is told, too")
