"""What commits brought to patients and took from them, page by page; on every engine."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from support.readings import NOW, BatchMaker, One, Rec, cuff, pulse
from support.store import Place, admit, patient
from wardlight_cloud.store.batch import Detail
from wardlight_cloud.store.postgres import PostgresStore
from wardlight_cloud.store.queries import ObservationQuery
from wardlight_cloud.store.subscriptions import ObservationChange
from wardlight_shared.model import Flag

make = BatchMaker()
MINUTE = timedelta(minutes=1)
Told = tuple[UUID, str, UUID | None]


async def changes(
    store: PostgresStore, *, after: int, count: int = 500, upto: int | None = None
) -> list[ObservationChange]:
    """All pages, in their order. ``upto``: asked for at first; then what is newest."""
    found: list[ObservationChange] = []
    place = None
    while True:
        newest = await store.commit_seq()
        page, place = await store.changed_observations(
            after=after, upto=newest if upto is None else upto, place=place, count=count
        )
        assert len(page) <= count
        found += page
        if place is None and upto is None:
            return found
        if place is None and upto is not None:
            after = upto
        upto = None


def told(found: list[ObservationChange]) -> list[Told]:
    """Whose each is or was, what became of it, and whose it is now."""
    return [
        (each.row.origin.patient_id, "left" if each.is_left else "came", each.holder)
        for each in found
    ]


@pytest.mark.parametrize("count", [1, 2, 500])
async def test_what_a_correction_of_an_assignment_takes_and_gives(
    store: PostgresStore, count: int
) -> None:
    ward = await admit(store)
    anna = ward.patient
    bert = (await store.put_patient(patient())).patient_id
    await store.ingest([make(Rec(1, [pulse(NOW, 60), *cuff(NOW, 120, 80)]))])
    await store.ingest([make(Rec(2, [pulse(NOW + MINUTE, 61), *cuff(NOW + MINUTE, 121, 81)]))])
    begin = await store.commit_seq()
    assert not await changes(store, after=begin, count=count)

    given = await store.assign(ward.device, bert, user=None, valid_from=NOW + MINUTE)
    at = await store.commit_seq()
    found = await changes(store, after=begin, count=count)
    assert sorted(told(found), key=str) == sorted(
        [(anna, "left", bert)] * 2 + [(bert, "came", None)] * 2, key=str
    )
    assert [each.is_left for each in found] == [True, True, False, False]
    assert {each.commit_seq for each in found} == {at} and len({e.stored_at for e in found}) == 1
    left, came = found[:2], found[2:]
    assert {each.row.observation_id for each in left} == {e.row.observation_id for e in came}
    assert all(each.row.commit_seq < at for each in left), "since when it had been hers"
    assert sorted(len(each.row.values) for each in left) == [1, 2]

    # Later readings are his alone; what ends is told of those that were there by then.
    await store.ingest([make(Rec(3, [pulse(NOW + 2 * MINUTE, 62)]))])
    await store.unassign(given.assignment_id, valid_to=NOW + 2 * MINUTE)
    await store.ingest([make(Rec(4, [pulse(NOW + 3 * MINUTE, 63)]))])
    more = await changes(store, after=at, count=count)
    assert told(more) == [(bert, "left", None)], "who looks later does not see that it came"
    assert more[0].row.time == NOW + 2 * MINUTE

    # What left, alone, page by page.
    lost = [each for each in await changes(store, after=begin) if each.is_left]
    pages: list[ObservationChange] = []
    place = None
    while place is not None or not pages:
        page, place = await store.left_observations(
            after=begin, upto=await store.commit_seq(), place=place, count=count
        )
        assert len(page) <= count
        pages += page
    assert told(pages) == told(lost) and len(lost) == 3

    # All pages, whenever newer commits come between them.
    whole = told(await changes(store, after=begin))
    for upto in range(begin + 1, await store.commit_seq() + 1):
        parts = await changes(store, after=begin, count=count, upto=upto)
        assert told(parts) == whole, upto


async def test_what_comes_back_has_not_left(store: PostgresStore) -> None:
    ward = await admit(store, since=NOW - MINUTE)
    await store.ingest([make(Rec(1, [pulse(NOW, 60)]))])
    begin = await store.commit_seq()
    # The beginning is set earlier: the assignment is replaced by another one of the same patient.
    await store.assign(ward.device, ward.patient, user=None, valid_from=NOW - 5 * MINUTE)
    assert told(await changes(store, after=begin)) == [(ward.patient, "came", None)]
    begin = await store.commit_seq()
    (held,) = await store.assignments(device_id=ward.device)
    await store.unassign(held.assignment_id, valid_to=held.valid_from)
    assert told(await changes(store, after=begin)) == [(ward.patient, "left", None)]


async def test_a_longer_assignment_loses_nothing(place: Place, store: PostgresStore) -> None:
    ward = await admit(store)
    await store.ingest([make(Rec(1, [pulse(NOW, 60)]))])
    await store.unassign(ward.assignment.assignment_id, valid_to=NOW - MINUTE)
    begin = await store.commit_seq()
    for later in ("now()", "NULL"):
        await place.execute(f"UPDATE assignment SET valid_to = {later}")
        await store.put_device("ble:0000000000FF", gateway=f"gw-{later[0]}")
    assert not [each for each in await changes(store, after=begin) if each.is_left]
    assert len(await place.execute("SELECT FROM left_interval")) == 1


async def test_a_user_of_a_scale(store: PostgresStore) -> None:
    """One user's readings go to another person, those of the other users stay where they are."""
    one = await admit(store, user=1)
    two = (await store.put_patient(patient())).patient_id
    await store.assign(one.device, two, user=2, valid_from=NOW - 60 * MINUTE)
    readings = [One("body_weight", NOW, 700 + user, -1, user=user) for user in (1, 2)]
    await store.ingest([make(Rec(1, readings))])
    begin = await store.commit_seq()
    (held,) = [each for each in await store.assignments() if each.user == 1]
    await store.unassign(held.assignment_id, valid_to=NOW)
    (left,) = await changes(store, after=begin)
    assert told([left]) == [(one.patient, "left", None)]
    assert left.row.values[0].mantissa == 701


async def test_what_was_corrected_after_it_had_left(place: Place, store: PostgresStore) -> None:
    """Its row is of a later commit by then; that the former patient was told of it remains."""
    ward = await admit(store)
    firsts = [_told(pulse(NOW + n * MINUTE, 60 + n, ord=256), n) for n in (0, 9)]
    await store.ingest([make(Rec(1, firsts[:1])), make(Rec(2, firsts[1:]))])
    begin = await store.commit_seq()
    await store.unassign(ward.assignment.assignment_id, valid_to=NOW)
    for n in (0, 9):
        late = pulse(NOW + (n + 1) * MINUTE, 70 + n, ord=512)
        await store.ingest([make(Rec(3 + n, [_told(late, n, "corrected")]))])
    assert len(await place.execute("SELECT FROM superseded")) == 2
    await store.ingest([make(Rec(20, [pulse(NOW + 5 * MINUTE, 66)]))])
    found = await changes(store, after=begin)
    assert told(found) == [(ward.patient, "left", None)] * 2
    assert [each.row.time for each in found] == [NOW, NOW + 9 * MINUTE]
    assert not (await store.observations(ObservationQuery(count=9))).rows


def _told(one: One, minute: int, status: str | None = None) -> One:
    """A reading with the time its sender gave, and what it says of one sent before."""
    context = () if status is None else (("status", status),)
    flags = int(Flag.CORRECTED) if status else 0
    at = f"2026-03-10T13:{minute:02}:00"
    return replace(one, flags=flags, detail=Detail(0, None, None, at, None, context))
