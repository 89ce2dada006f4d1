"""Hl7Store: messages wait, go in their order, and what becomes of them is kept; on every engine."""

from uuid import UUID

import pytest

from support.readings import NOW, BatchMaker, Rec, pulse
from support.store import Place, admit, patient
from wardlight_cloud.store.audit import AuditQuery
from wardlight_cloud.store.hl7_out import Hl7Progress, NewMessage
from wardlight_cloud.store.postgres import PostgresStore

pytestmark = pytest.mark.either_engine

make = BatchMaker()


async def added(
    store: PostgresStore, seen: Hl7Progress, *messages: tuple[UUID, str], commit_seq: int = 0
) -> bool:
    """Messages of patients, with these control ids."""
    made = [NewMessage(who, 1, text, text.encode()) for who, text in messages]
    return await store.add_hl7(
        "ehr", seen, made, commit_seq=commit_seq, place=None, is_gathered=True
    )


@pytest.mark.each_engine
async def test_messages_wait_in_the_order_of_each_patient(store: PostgresStore) -> None:
    ward = await admit(store)
    anna, bert = ward.patient, (await store.put_patient(patient())).patient_id
    begin = await store.hl7_progress("ehr")
    newest = await store.commit_seq()
    assert (begin.commit_seq, begin.from_commit, begin.newest) == (newest, newest, newest)
    assert begin.place is None and begin.pause_s == 0
    await store.ingest([make(Rec(1, [pulse(NOW, 60)]))])
    told = ((anna, "a1"), (bert, "b1"), (anna, "a2"), (anna, "a3"))
    at = await store.commit_seq()
    assert await added(store, begin, *told, commit_seq=at)
    assert not await added(store, begin, (anna, "twice"), commit_seq=at), "somebody has moved on"
    now = await store.hl7_progress("ehr")
    assert (now.commit_seq, now.from_commit, now.turn) == (at, newest, begin.turn + 1)

    waiting = await store.take_hl7("ehr", count=9)
    assert [each.control_id for each in waiting] == ["a1", "b1", "a2", "a3"]
    await store.settle_hl7_failed(waiting[0].message_id, "AE 207", again_in_s=3600)
    assert [each.control_id for each in await store.take_hl7("ehr", count=9)] == ["b1"]
    await store.note_hl7_unknown(waiting[1].message_id)
    await store.settle_hl7_sent(waiting[1].message_id)
    await store.settle_hl7_failed(waiting[0].message_id, "AR 204", again_in_s=None)
    assert [each.control_id for each in await store.take_hl7("ehr", count=1)] == ["a2"]

    (dead,) = await store.dead_hl7()
    assert (dead.patient_id, dead.attempts, dead.reason) == (anna, 2, "AR 204")
    assert await store.hl7_body(dead.message_id) == b"a1"
    assert await store.hl7_body(waiting[1].message_id) is None, "what has arrived is forgotten"
    await store.note_hl7_trouble("ehr", "away", pause_s=60)
    (status,) = await store.hl7_status()
    assert (status.waiting, status.sent, status.dead, status.reason) == (2, 1, 1, "away")
    assert 0 < (await store.hl7_progress("ehr")).pause_s <= 60
    await store.note_hl7_trouble("ehr", "", pause_s=0)
    assert (await store.hl7_progress("ehr")).attempts == 0
    assert [each.message_id for each in await store.dead_hl7(destination="ehr")] == [
        dead.message_id
    ]
    assert not await store.dead_hl7(destination="other")
    assert not await store.dead_hl7(message_id=dead.message_id + 1)
    assert not await store.dead_hl7(after=dead.message_id)
    assert not await store.retry_hl7(waiting[1].message_id), "it has arrived"
    assert await store.retry_hl7(dead.message_id)
    again = await store.take_hl7("ehr", count=9)
    assert [(each.control_id, each.was_dead) for each in again] == [
        ("a1", True), ("a2", False), ("a3", False),
    ]  # fmt: skip
    await store.settle_hl7_failed(dead.message_id, "AE 207", again_in_s=0)
    assert (await store.take_hl7("ehr", count=1))[0].was_dead, "refused again, it still was"
    await store.settle_hl7_failed(dead.message_id, "AR 204", again_in_s=None)
    assert await store.drop_hl7(dead.message_id) and not await store.drop_hl7(dead.message_id)

    assert await store.drop_hl7_overtaken(again[1].message_id)
    assert not await store.drop_hl7_overtaken(waiting[1].message_id), "it has arrived"
    assert [each.control_id for each in await store.take_hl7("ehr", count=9)] == ["a3"]

    rows = await store.audit_events(AuditQuery(None))
    assert [(row.status, row.resource_id, row.patients) for row in reversed(rows)] == [
        (400, "a1", (anna,)), (500, "b1", (bert,)), (0, "b1", (bert,)), (400, "a1", (anna,)),
        (400, "a1", (anna,)), (400, "a1", (anna,)),
    ]  # fmt: skip


async def test_what_was_sent_is_forgotten_after_days(place: Place, store: PostgresStore) -> None:
    ward = await admit(store)
    await added(store, await store.hl7_progress("ehr"), (ward.patient, "a1"), (ward.patient, "a2"))
    first, _ = await store.take_hl7("ehr", count=9)
    await store.settle_hl7_sent(first.message_id)
    assert await store.forget_hl7(days=7) == 0
    await place.execute("UPDATE hl7_message SET settled_at = settled_at - interval '8 days'")
    assert await store.forget_hl7(days=7) == 1
    (status,) = await store.hl7_status()
    assert (status.waiting, status.sent) == (1, 0)
