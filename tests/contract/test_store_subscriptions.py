"""SubscriptionStore: whose a subscription is, its numbers, leases and bindings; on every engine."""

from dataclasses import replace

import pytest

from support.store import Place, admit
from wardlight_cloud.store.postgres import PostgresStore
from wardlight_cloud.store.resources import Put, ResourceRow
from wardlight_cloud.store.subscriptions import (
    Match,
    Settled,
    Subscriber,
    SubscriptionRow,
    SubscriptionState,
)

pytestmark = pytest.mark.either_engine

SUBSCRIBER = Subscriber("ehr", None, None, ("system/*.rs",), "https://x/fhir")
TAKEN = Settled(SubscriptionState.ACTIVE, "", 0, None, 0, None, begins=True)


async def defined(store: PostgresStore, name: str = "s1") -> ResourceRow:
    """A version of a subscription that is asked for."""
    await store.put_client("ehr", b"h" * 32, ["system/*.rs"])
    assert await store.note_subscriber(name, SUBSCRIBER, b"h" * 32, most=2)
    await store.write_resources([Put("Subscription", name, b'{"a":1}', (), ())])
    (row,) = await store.resources_by_id("Subscription", [name], patients=None)
    await store.define_subscription(row, wants=True, is_same=False, ends_at=None)
    return row


async def taken(store: PostgresStore) -> SubscriptionRow:
    """The one that has something to do."""
    (row,) = await store.take_subscriptions("me", count=9, lease_s=60)
    return row


@pytest.mark.each_engine
async def test_events_have_numbers_in_the_order_of_commits(
    place: Place, store: PostgresStore
) -> None:
    ward = await admit(store)
    resource = await defined(store)
    row = await taken(store)
    assert (row.state, row.is_matching) == (SubscriptionState.REQUESTED, False)
    assert row.allowed == ("system/*.rs",) and row.definition == b'{"a":1}'
    assert await store.take_subscriptions("other", count=9, lease_s=60) == ()
    assert await store.settle_subscription("me", row, TAKEN)
    assert not await store.settle_subscription("other", row, TAKEN), "it has no lease"

    seen = await store.subscription_progress()
    before = await store.commit_seq()
    await store.put_device("ble:00000000000F")
    at = await store.commit_seq()
    event = Match(
        "s1", row.generation, at, resource.stored_at, "Observation", "o1", (ward.patient,)
    )
    matches = [
        replace(event, commit_seq=before, id="too early"),
        event,
        replace(event, id="o2", is_left=True),
        replace(event, id="another wording", generation=99),
    ]
    now = replace(seen, commit_seq=at, resource_seq=at)
    assert await store.add_events(seen, now, matches)
    assert not await store.add_events(seen, now, matches), "somebody has moved it"
    events = await store.subscription_events("s1", first=1, last=9, count=9)
    assert [(e.number, e.id, e.is_left) for e in events] == [(1, "o1", False), (2, "o2", True)]
    assert events[0].patients == (ward.patient,) and events[0].commit_seq == at
    assert len(await store.subscription_events("s1", first=2, last=9, count=9)) == 1

    row = await taken(store)
    assert (row.last_number, row.sent_number, row.is_matching) == (2, 0, True)
    failed = Settled(SubscriptionState.ERROR, "away", 5, resource.stored_at, 0, 30.0)
    assert await store.settle_subscription("me", row, failed)
    row = await taken(store)  # at once: the resource is to tell of it
    await store.note_version("s1", row.version, "error")
    assert await store.settle_subscription("me", row, failed)
    assert await store.take_subscriptions("me", count=9, lease_s=60) == (), "not before its pause"
    wait_s = await store.seconds_to_next()
    assert wait_s is not None and 0 <= wait_s <= 30
    (row,) = await store.subscriptions(["s1"])
    assert (row.state, row.reason, row.attempts) == (SubscriptionState.ERROR, "away", 5)
    await place.execute("UPDATE subscription_event SET stored_at = now() - interval '8 days'")
    assert await store.forget_subscription_events(days=7) == 2


@pytest.mark.each_engine
async def test_a_subscription_from_its_beginning_to_its_end(store: PostgresStore) -> None:
    resource = await defined(store)
    await defined(store, "s2")
    assert not await store.note_subscriber("s3", SUBSCRIBER, b"h" * 32, most=2), "too many"
    assert len(await store.subscriptions(client="ehr")) == 2
    assert await store.subscriptions() == (), "no events count before the handshake"
    assert await store.renew_secret("s1") == 2 and await store.renew_secret("none") is None
    key = await store.subscription_key()
    assert len(key) == 32 and await store.subscription_key() == key
    await store.note_version("s1", resource.commit_seq + 7, "active")
    (row,) = await store.subscriptions(["s1"])
    assert (row.version, row.shown) == (resource.commit_seq + 7, "active")

    await store.put_binding(b"t" * 32, ["s1", "s2"], lasts_s=60)
    assert await store.use_binding(b"t" * 32) == ("s1", "s2")
    assert await store.use_binding(b"t" * 32) is None, "once"
    await store.put_binding(b"u" * 32, ["s1"], lasts_s=-1)
    assert await store.use_binding(b"u" * 32) is None, "too late"

    assert len(await store.take_subscriptions("me", count=9, lease_s=60)) == 2
    await store.release_subscriptions("me")
    assert len(await store.take_subscriptions("other", count=9, lease_s=60)) == 2
    await store.remove_client("ehr")
    (row,) = await store.subscriptions(["s1"])
    assert row.allowed is None, "who may do nothing any more"
    await store.drop_subscription("s1")
    assert await store.subscriptions(["s1"]) == ()


async def test_what_is_stopped_tells_why(store: PostgresStore) -> None:
    resource = await defined(store)
    row = await taken(store)
    assert await store.settle_subscription("me", row, TAKEN)
    before = await store.subscription_progress()
    await store.stop_subscription("s1", row.version - 1, "of an older version")
    assert (await store.subscriptions(["s1"]))[0].state is SubscriptionState.ACTIVE
    await store.stop_subscription("s1", resource.commit_seq + 1, "because", body=b'{"a":2}')
    assert (await store.subscription_progress()).revision > before.revision
    stopped = await taken(store)  # at once: the resource is to tell of it
    assert (stopped.state, stopped.reason) == (SubscriptionState.OFF, "because")
    assert (stopped.version, stopped.definition) == (resource.commit_seq + 1, b'{"a":2}')
    assert stopped.shown != stopped.state and not stopped.is_matching
    assert stopped.generation > row.generation
    assert await store.subscriptions() == ()
