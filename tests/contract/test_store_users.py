"""Users of one device are patients of their own; what is nobody's is asked about."""

from datetime import timedelta

import pytest

from support.readings import DEVICE, NOW, SECOND, BatchMaker, Rec, cuff, pulse
from support.store import admit, patient
from wardlight_cloud.store.postgres import PostgresStore
from wardlight_cloud.store.queries import ObservationQuery
from wardlight_cloud.store.unassigned import UNKNOWN_USER, UnassignedDay
from wardlight_shared.errors import StorageError
from wardlight_shared.model import Flag

pytestmark = pytest.mark.either_engine

make = BatchMaker()
DAY = timedelta(days=1)
UNKNOWN = int(Flag.USER_UNKNOWN)


async def _count(store: PostgresStore, *patients: object) -> int:
    return await store.observation_count(ObservationQuery(patients=patients))  # type: ignore[arg-type]


async def _three_measure(store: PostgresStore) -> None:
    """User 1, user 2, and somebody the device does not know, a second apart."""
    await store.ingest(
        [
            make(
                Rec(1, cuff(NOW, 121, 81, user=1)),
                Rec(2, cuff(NOW + SECOND, 122, 82, user=2)),
                Rec(3, cuff(NOW + 2 * SECOND, 123, 83, flags=UNKNOWN)),
            )
        ]
    )


async def test_a_user_who_is_not_known_is_no_patient(store: PostgresStore) -> None:
    ann, bob = await admit(store, user=1), await admit(store, user=2)
    await _three_measure(store)
    assert await _count(store, ann.patient) == await _count(store, bob.patient) == 1
    assert {row.user for row in await store.latest()} == {1, 2}
    third = NOW + 2 * SECOND
    assert await store.unassigned(since=NOW.date()) == (
        UnassignedDay(DEVICE, None, NOW.date(), 2, third, third),
    )


async def test_a_whole_device_and_its_users_exclude_each_other(store: PostgresStore) -> None:
    """Or a reading of an unknown user would go to whoever has the device as a whole."""
    ann = await admit(store, user=1)
    other = await store.put_patient(patient("Other"))
    with pytest.raises(StorageError, match="for its user 1"):
        await store.assign(ann.device, other.patient_id, user=None, valid_from=NOW)
    await _three_measure(store)
    assert await _count(store, other.patient_id) == 0
    days = await store.unassigned(since=NOW.date())
    assert [(day.user, day.readings) for day in days] == [(2, 2), (None, 2)]


async def test_a_device_of_one_patient_takes_every_user(store: PostgresStore) -> None:
    ward = await admit(store)
    await _three_measure(store)
    assert await _count(store, ward.patient) == 3
    assert await store.unassigned(since=NOW.date()) == ()


@pytest.mark.each_engine
async def test_somebody_says_whose_it_was(store: PostgresStore) -> None:
    """For a time: what comes later from an unknown user is asked about again."""
    ann, bob = await admit(store, user=1), await admit(store, user=2)
    await _three_measure(store)
    before = await store.commit_seq()
    said = await store.assign(
        ann.device, bob.patient, user=UNKNOWN_USER, valid_from=NOW, valid_to=NOW + 3 * SECOND
    )
    assert await _count(store, ann.patient) == 1
    assert await _count(store, bob.patient) == 2
    assert await store.commit_seq() > before
    assert await store.unassigned(since=NOW.date()) == ()
    await store.ingest([make(Rec(4, [pulse(NOW + 3 * SECOND, 60, flags=UNKNOWN)]))])
    (day,) = await store.unassigned(since=NOW.date())
    assert (day.user, day.readings) == (None, 1)
    await store.unassign(said.assignment_id, valid_to=NOW)
    assert await _count(store, bob.patient) == 1


async def test_what_was_said_for_a_time_meets_no_other_word(store: PostgresStore) -> None:
    ann, bob = await admit(store, user=1), await admit(store, user=2)
    until = NOW + DAY
    say = store.assign
    await say(ann.device, ann.patient, user=UNKNOWN_USER, valid_from=NOW, valid_to=until)
    with pytest.raises(StorageError, match="unknown users"):
        await say(
            ann.device, bob.patient, user=UNKNOWN_USER, valid_from=until - SECOND, valid_to=None
        )
    with pytest.raises(StorageError, match="unknown users"):
        await say(
            ann.device, bob.patient, user=UNKNOWN_USER, valid_from=NOW - DAY, valid_to=NOW + SECOND
        )
    with pytest.raises(StorageError, match="after the beginning"):
        await say(ann.device, bob.patient, user=UNKNOWN_USER, valid_from=until, valid_to=until)
    await say(ann.device, bob.patient, user=UNKNOWN_USER, valid_from=NOW - DAY, valid_to=NOW)
    await say(ann.device, bob.patient, user=UNKNOWN_USER, valid_from=until, valid_to=until + DAY)
    of_unknown = [each for each in await store.assignments() if each.user == UNKNOWN_USER]
    assert [(each.valid_from, each.valid_to) for each in of_unknown] == [
        (NOW - DAY, NOW), (NOW, until), (until, until + DAY),
    ]  # fmt: skip


async def test_unassigned_days_are_newest_first_and_only_those_asked_for(
    store: PostgresStore,
) -> None:
    """A day in the middle of which an assignment begins counts what was before it."""
    await store.put_device(DEVICE)
    readings = [pulse(NOW + hours * timedelta(hours=1), 60) for hours in (-48, -1, 1)]
    await store.ingest([make(Rec(1, readings))])
    test = pulse(NOW, 61, flags=int(Flag.TEST))
    await store.ingest([make(Rec(2, [test]))])
    days = await store.unassigned(since=NOW.date() - 9 * DAY)
    assert [(day.day, day.readings) for day in days] == [
        (NOW.date(), 2), (NOW.date() - 2 * DAY, 1)
    ]  # fmt: skip
    assert await store.unassigned(since=NOW.date() - 9 * DAY, count=1) == days[:1]
    assert await store.unassigned(since=NOW.date()) == days[:1]
    await admit(store, since=NOW)
    (day,) = await store.unassigned(since=NOW.date())
    assert (day.readings, day.first) == (1, NOW - timedelta(hours=1))
