"""Nodes, rules, and items that are leased, settled, given up and tried again."""

import pytest

from support.image_rows import instance
from support.store import Place, patient
from wardlight_cloud.store.forwarding import (
    DicomNode,
    ForwardItem,
    ForwardRule,
    ForwardTarget,
    RuleKind,
)
from wardlight_cloud.store.image_arrivals import Source
from wardlight_cloud.store.postgres import PostgresStore
from wardlight_shared.errors import StorageError

PACS = ForwardTarget(ae_title="PACS")


@pytest.fixture
async def store(native_place: Place) -> PostgresStore:
    opened = await native_place.open()
    await opened.put_node(DicomNode("PACS", "192.0.2.1", 104))
    return opened


async def add(store: PostgresStore, *names: str, **more: object) -> None:
    """One study each, in one commit."""
    await store.put_instances(
        [
            instance(f"{name}.1.1", study=name, series=f"{name}.1", **more)  # type: ignore[arg-type]
            for name in names
        ]
    )


async def due(store: PostgresStore, *, lease_s: float = 60.0) -> list[ForwardItem]:
    while await store.forward_new(studies=2):
        pass
    return list(await store.take_items(count=100, lease_s=lease_s))


def uids(items: list[ForwardItem]) -> list[str]:
    return sorted(item.sop_uid for item in items)


async def test_a_node_is_kept_as_it_was_given(store: PostgresStore) -> None:
    node = DicomNode("X", "h", None, ("192.0.2.0/24",), True, bytes(32), ("query",))
    await store.put_node(node)
    assert node in await store.nodes()
    await store.put_node(DicomNode("X", "other"))
    assert [each.host for each in await store.nodes()] == ["192.0.2.1", "other"]
    assert await store.remove_node("X")
    assert not await store.remove_node("X")


async def test_rules_need_a_name_of_their_own_and_a_known_node(store: PostgresStore) -> None:
    await store.put_rule(ForwardRule("a", "all", "", PACS))
    with pytest.raises(StorageError, match="already"):
        await store.put_rule(ForwardRule("a", "all", "", PACS))
    with pytest.raises(StorageError, match="no node"):
        await store.put_rule(ForwardRule("b", "all", "", ForwardTarget(ae_title="NOBODY")))
    with pytest.raises(StorageError, match="remove the rule"):
        await store.remove_node("PACS")
    assert [rule.name for rule in await store.rules()] == ["a"]


@pytest.mark.parametrize(
    ("kind", "value", "found"),
    [
        ("all", "", ["1.1.1", "2.1.1", "3.1.1"]),
        ("modality", "MR", ["2.1.1"]),
        ("source", "gw-a", ["3.1.1"]),
        ("source", "US-3", ["3.1.1"]),
        ("source", "gw-b", []),
    ],
)
async def test_a_rule_finds_what_it_names(
    store: PostgresStore, kind: RuleKind, value: str, found: list[str]
) -> None:
    await add(store, "1")
    await store.put_rule(ForwardRule("r", kind, value, PACS), from_beginning=True)
    await add(store, "2", Modality="MR")
    await add(store, "3", source=Source("gateway", "gw-a", 1, 1, calling_ae="US-3"))
    assert uids(await due(store)) == found
    assert await due(store) == []
    named = await store.named_by(ForwardRule("other", kind, value, PACS))
    assert named == (len(found), len(found))


async def test_from_now_on(native_place: Place, store: PostgresStore) -> None:
    await add(store, "1")
    # As if it had been stored before the minute that a rule looks back.
    await native_place.execute("UPDATE image_instance SET stored_at = stored_at - interval '1 h'")
    await store.put_rule(ForwardRule("r", "all", "", PACS))
    await add(store, "2")
    assert uids(await due(store)) == ["2.1.1"]
    await store.put_instances([instance("1.1.2", study="1", series="1.1")])
    assert uids(await due(store)) == ["1.1.2"], "the older instance of the study stays"


async def test_a_study_is_forwarded_when_it_becomes_the_patients(store: PostgresStore) -> None:
    anna = (await store.put_patient(patient())).patient_id
    await store.put_rule(ForwardRule("r", "patient", str(anna), PACS))
    await add(store, "1", "2")
    assert await due(store) == []
    await store.assign_study("2", anna, by="somebody")
    assert uids(await due(store)) == ["2.1.1"]


async def test_a_study_that_left_the_patient_is_not_sent_for_them(store: PostgresStore) -> None:
    """What waits is dropped; when the study is theirs again, it comes again."""
    anna = (await store.put_patient(patient())).patient_id
    bert = (await store.put_patient(patient())).patient_id
    await store.put_rule(ForwardRule("r", "patient", str(anna), PACS))
    await store.put_rule(ForwardRule("every", "all", "", PACS))
    await add(store, "1", "2")
    await store.assign_study("1", anna, by="somebody")
    await store.assign_study("2", anna, by="somebody")
    while await store.forward_new(studies=2):
        pass
    await store.assign_study("2", bert, by="somebody")
    taken = [*await due(store), *await due(store)]
    assert sorted((item.rule, item.sop_uid) for item in taken) == [
        ("every", "1.1.1"), ("every", "2.1.1"), ("r", "1.1.1"),
    ]  # fmt: skip
    await store.assign_study("2", anna, by="somebody")
    assert [(item.rule, item.sop_uid) for item in await due(store)] == [("r", "2.1.1")]


async def test_what_a_dead_process_took_is_due_again(store: PostgresStore) -> None:
    await store.put_rule(ForwardRule("r", "all", "", PACS))
    await add(store, "1")
    (first,) = await due(store, lease_s=0)
    (again,) = await due(store)
    assert (again.item_id, first.attempts, again.attempts) == (first.item_id, 1, 2)
    assert await due(store) == []
    await store.settle_sent([again.item_id])
    await store.settle_failed([again.item_id], "late", again_in_s=0)
    assert await due(store) == [], "what has arrived stays so"
    (status,) = await store.forward_status()
    assert (status.sent, status.waiting, status.dead) == (1, 0, 0)


async def test_what_fails_for_days_is_dead_and_can_be_tried_again(
    native_place: Place, store: PostgresStore
) -> None:
    await store.put_rule(ForwardRule("r", "all", "", PACS, give_up_days=2))
    await add(store, "1", "2")
    items = await due(store)
    await native_place.execute(
        "UPDATE forward_item SET since = since - interval '3 d' WHERE item_id = $1",
        items[0].item_id,
    )
    await store.settle_failed([item.item_id for item in items], "down", again_in_s=0)
    (status,) = await store.forward_status()
    assert (status.waiting, status.dead, status.reason) == (1, 1, "down")
    (dead,) = await store.dead_items()
    assert (dead.item_id, dead.reason) == (items[0].item_id, "down")
    assert await store.retry_dead("other") == 0
    assert await store.retry_dead() == 1
    assert len(await due(store)) == 2


async def test_a_removed_rule_takes_its_items_along(store: PostgresStore) -> None:
    await store.put_rule(ForwardRule("r", "all", "", PACS))
    await add(store, "1")
    assert len(await due(store)) == 1
    assert await store.remove_rule("r")
    assert not await store.remove_rule("r")
    assert await store.dead_items() == ()


async def test_targets_that_are_busy_are_passed_over(store: PostgresStore) -> None:
    """Whatever waits longest is theirs; items of the others are given out."""
    url = ForwardTarget(url="http://pacs.example/dicom-web", token_file="/a")
    await store.put_node(DicomNode("OTHER", "192.0.2.2", 104))
    for name, target in (("a", PACS), ("b", PACS), ("c", url), ("d", ForwardTarget("OTHER"))):
        await store.put_rule(ForwardRule(name, "all", "", target))
    await add(store, "1")
    await store.forward_new(studies=2)

    async def taken(*busy: ForwardTarget) -> list[str]:
        items = await store.take_items(count=100, lease_s=60, but_for=busy)
        return [item.rule for item in items]

    assert await taken(PACS, ForwardTarget(url=url.url)) == ["d"]
    assert await taken(PACS, ForwardTarget("OTHER")) == ["c"]
    assert await taken(url) == ["a"]
    assert await taken(PACS) == []
    assert await taken() == ["b"]


async def test_a_lease_goes_on_while_it_is_renewed(store: PostgresStore) -> None:
    await store.put_rule(ForwardRule("r", "all", "", PACS))
    await add(store, "1", "2")
    first, second = await due(store, lease_s=0)
    await store.renew_items([first.item_id], lease_s=60)
    assert [item.item_id for item in await due(store)] == [second.item_id]
    await store.settle_sent([second.item_id])
    await store.renew_items([second.item_id], lease_s=0)
    assert await due(store) == [], "what has arrived stays so"


async def test_what_was_not_tried_is_no_attempt(store: PostgresStore) -> None:
    await store.put_rule(ForwardRule("r", "all", "", PACS))
    await add(store, "1")
    (item,) = await due(store)
    await store.settle_failed([item.item_id], "away", again_in_s=0, was_tried=False)
    (again,) = await due(store)
    assert (item.attempts, again.attempts) == (1, 1)
    (status,) = await store.forward_status()
    assert (status.waiting, status.reason) == (1, "away")
