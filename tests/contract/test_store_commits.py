"""Commit order: what a consumer sees who syncs by ``stored`` or ``commit_seq``; on every engine."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from support.readings import NOW, SECOND, BatchMaker, One, Rec, cuff, pulse, wire
from support.store import Place, admit, all_rows, patient
from wardlight_cloud.store.commits import UploadKey, UploadQuery
from wardlight_cloud.store.observation_rows import ObservationRow
from wardlight_cloud.store.postgres import PostgresStore, commit_walk
from wardlight_cloud.store.postgres.scan import scan, width
from wardlight_cloud.store.queries import ObservationQuery, TimeBound
from wardlight_shared.errors import StorageError

pytestmark = pytest.mark.either_engine

make = BatchMaker()
HOUR = timedelta(hours=1)


def numbers(rows: list[ObservationRow]) -> list[int]:
    return [row.values[0].mantissa for row in rows]


async def test_commits_grow_and_their_times_never_go_back(store: PostgresStore) -> None:
    await admit(store)
    for n in range(1, 6):
        await store.ingest([make(Rec(n, [pulse(NOW - n * HOUR, n)]))])
    rows = await all_rows(store, ObservationQuery(order="commit", count=2))
    assert numbers(rows) == [1, 2, 3, 4, 5]
    commits = [row.commit_seq for row in rows]
    assert commits == sorted(set(commits))
    times = [row.stored_at for row in rows]
    assert times == sorted(set(times)), "each commit has a time of its own"
    assert all(time.microsecond % 1000 == 0 for time in times), "which FHIR can tell"


async def test_stored_at_goes_on_when_the_clock_goes_back(
    place: Place, store: PostgresStore
) -> None:
    await admit(store)
    await store.ingest([make(Rec(1, [pulse(NOW, 1)]))])
    await place.execute("UPDATE commit_log SET stored_at = stored_at + interval '1 hour'")
    await store.ingest([make(Rec(2, [pulse(NOW + SECOND, 2)]))])
    first, second = await all_rows(store, ObservationQuery(order="commit"))
    assert timedelta(0) < second.stored_at - first.stored_at < SECOND


@pytest.mark.parametrize("order", ["newest", "oldest", "commit"])
async def test_stored_filter(store: PostgresStore, order: str) -> None:
    """Measured in one order, stored in the other."""
    await admit(store)
    for n in (1, 2, 3):
        await store.ingest([make(Rec(n, [pulse(NOW - n * HOUR, n)]))])
    rows = await all_rows(store, ObservationQuery(order="commit"))
    for op, expected in (("ge", [2, 3]), ("gt", [3]), ("le", [1, 2]), ("lt", [1])):
        bound = TimeBound(op, rows[1].stored_at)  # type: ignore[arg-type]
        query = ObservationQuery(stored=(bound,), order=order, count=1)  # type: ignore[arg-type]
        assert sorted(numbers(await all_rows(store, query))) == expected, op


@pytest.mark.each_engine
async def test_syncing_by_stored_sees_every_row_once(store: PostgresStore) -> None:
    """A client that asks again from its last ``stored_at`` on, while rows come in."""
    await admit(store)
    seen: dict[str, int] = {}
    since: tuple[TimeBound, ...] = ()
    for turn in range(4):
        records = [Rec(turn * 3 + n, [pulse(NOW - (turn * 3 + n) * HOUR, n)]) for n in (1, 2, 3)]
        await store.ingest([make(*records)])
        for row in await all_rows(store, ObservationQuery(order="commit", stored=since, count=2)):
            seen[row.observation_id] = row.commit_seq
            since = (TimeBound("ge", row.stored_at),)
    assert len(seen) == 12


async def test_a_commit_with_many_rows_is_paged_inside(store: PostgresStore) -> None:
    await admit(store)
    rows = [One(m, NOW + n * HOUR, n) for n in range(40) for m in ("spo2", "heart_rate")]
    await store.ingest([make(Rec(1, rows), Rec(2, cuff(NOW, 120, 80)))])
    await store.ingest([make(Rec(3, [pulse(NOW, 1)]))])
    for count in (1, 3, 100):
        found = await all_rows(store, ObservationQuery(order="commit", count=count))
        assert len(found) == len({row.observation_id for row in found}) == 82
        assert found[-1].origin.metric == wire("pulse_rate_oximeter")


async def test_a_page_behind_much_is_read_for_what_is_on_it(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit that brought 40 days, then a commit for each reading: pages go over each once."""
    await admit(store)
    await store.ingest([make(Rec(1, [pulse(NOW - n * 24 * HOUR, n) for n in range(40)]))])
    for n in range(2, 42):
        await store.ingest([make(Rec(n, [pulse(NOW + n * SECOND, n)]))])
    asked: list[int] = []

    async def scanned(connection: Any, stretches: Sequence[Any], **how: Any) -> Any:
        asked.append(len(stretches))
        return await scan(connection, stretches, **how)

    def measured(stretches: Sequence[Any]) -> int:
        looked_at.append(len(stretches))
        return width(stretches)

    looked_at: list[int] = []
    monkeypatch.setattr(commit_walk, "scan", scanned)
    monkeypatch.setattr(commit_walk, "width", measured)
    page = await store.observations(ObservationQuery(order="commit", count=10))
    assert len(page.rows) == 10
    assert sum(asked) == 40, "the days of the first commit, and none of what came after it"
    looked_at.clear()
    assert len(await all_rows(store, ObservationQuery(order="latest", count=100))) == 80
    assert sum(looked_at) == 81, "each stretch once, and the span"


@pytest.mark.each_engine
async def test_a_panel_whose_parts_came_apart_is_shown_once_at_the_last(
    store: PostgresStore,
) -> None:
    """Its diastolic value came in another record, later."""
    await admit(store)
    systolic, diastolic = cuff(NOW, 120, 80)
    await store.ingest([make(Rec(1, [systolic]))])
    await store.ingest([make(Rec(2, [pulse(NOW, 60)]))])
    (first,) = await all_rows(store, ObservationQuery(component_metrics=(wire("systolic_bp"),)))
    (last,) = await store.ingest([make(Rec(3, [diastolic]))])
    for order in ("newest", "oldest", "commit"):
        query = ObservationQuery(order=order, count=1)
        rows = await all_rows(store, query)
        assert len(rows) == 2
        panel = next(row for row in rows if row.origin.metric == wire("blood_pressure"))
        assert [value.mantissa for value in panel.values] == [120, 80]
        assert panel.commit_seq == last.commit_seq
        assert panel.observation_id == first.observation_id
    before = ObservationQuery(stored=(TimeBound("lt", panel.stored_at),))
    for order in ("newest", "commit"):
        rows = await all_rows(store, replace(before, order=order))  # type: ignore[arg-type]
        assert numbers(rows) == [60]
    after = ObservationQuery(stored=(TimeBound("ge", panel.stored_at),))
    for order in ("newest", "commit"):
        (found,) = await all_rows(store, replace(after, order=order))  # type: ignore[arg-type]
        assert [value.mantissa for value in found.values] == [120, 80]


async def test_readings_before_an_assignment_become_new_with_it(store: PostgresStore) -> None:
    """Stored for nobody, then given to a patient: a client that had synced must see them."""
    device = await store.put_device("ble:00000000000A")
    records = [Rec(n, [pulse(NOW + n * HOUR, n)]) for n in range(1, 6)]
    await store.ingest([make(*records)])
    assert await all_rows(store, ObservationQuery()) == []
    assert await store.latest() == ()
    synced = await store.commit_seq()
    made = await store.put_patient(patient())
    await store.assign(device, made.patient_id, user=None, valid_from=NOW + 2 * HOUR)
    assigned = await store.commit_seq()
    assert assigned > synced
    for count in (1, 2, 50):
        rows = await all_rows(store, ObservationQuery(order="commit", count=count))
        assert numbers(rows) == [2, 3, 4, 5]
        assert {row.commit_seq for row in rows} == {assigned}
    (latest,) = await store.latest()
    assert (latest.mantissa, latest.commit_seq) == (5, assigned)


@pytest.mark.each_engine
async def test_commits_mix_assignments_and_rows(store: PostgresStore) -> None:
    ward = await admit(store, since=NOW)
    await store.ingest([make(Rec(1, [pulse(NOW + SECOND, 1)]), Rec(2, [pulse(NOW - HOUR, 2)]))])
    await store.ingest([make(Rec(3, [pulse(NOW + 2 * SECOND, 3)]))])
    other = await store.put_patient(patient("Second"))
    cut = NOW + 2 * SECOND
    await store.assign(ward.device, other.patient_id, user=None, valid_from=cut)
    moved = await store.commit_seq()
    await store.ingest([make(Rec(4, [pulse(NOW + 3 * SECOND, 4)]))])
    await store.ingest([make(Rec(5, [pulse(NOW + SECOND, 5, ord=1)]))])
    for count in (1, 2, 50):
        rows = await all_rows(store, ObservationQuery(order="commit", count=count))
        assert numbers(rows) == [1, 3, 4, 5]
        owners = [row.origin.patient_id == other.patient_id for row in rows]
        assert owners == [False, True, True, False]
    assert rows[1].commit_seq == moved
    query = ObservationQuery(patients=(ward.patient,), order="commit")
    assert numbers(await all_rows(store, query)) == [1, 5]
    since = (TimeBound("ge", rows[1].stored_at),)
    found = await all_rows(store, ObservationQuery(stored=since, order="oldest"))
    assert numbers(found) == [5, 3, 4]
    await uploads_hold(store, {(row.commit_seq, row.origin.patient_id) for row in rows})
    later = {(row.commit_seq, row.origin.patient_id) for row in rows[1:]}
    bounded = await store.uploads(UploadQuery(None, start=rows[1].stored_at))
    assert later <= set(bounded) and bounded[0][0] == moved
    before = await store.uploads(UploadQuery(None, end=rows[1].stored_at))
    assert {seq for seq, _ in before} == {rows[0].commit_seq}
    assert await store.uploads(UploadQuery((), count=9)) == ()
    for key in await store.uploads(UploadQuery((other.patient_id,))):
        assert key[1] == other.patient_id


async def uploads_hold(store: PostgresStore, expected: set[UploadKey]) -> None:
    """Pages of any size hold all there are, each once and in order."""
    for count in (1, 2, 50):
        found: list[UploadKey] = []
        after: UploadKey | None = None
        while page := await store.uploads(UploadQuery(None, after=after, count=count)):
            assert len(page) <= count
            found += page
            after = page[-1]
        assert found == sorted(set(found))
        assert expected <= set(found)


async def test_each_reading_belongs_to_the_patient_of_its_time(store: PostgresStore) -> None:
    ward = await admit(store, since=NOW)
    other = await store.put_patient(patient("Second"))
    await store.assign(ward.device, other.patient_id, user=None, valid_from=NOW + 4 * SECOND)
    records = [Rec(n, [pulse(NOW + (n - 2) * SECOND, n)]) for n in range(1, 9)]
    await store.ingest([make(*records)])
    first = await all_rows(store, ObservationQuery(patients=(ward.patient,), order="oldest"))
    second = await all_rows(store, ObservationQuery(patients=(other.patient_id,), order="oldest"))
    assert numbers(first) == [2, 3, 4, 5]
    assert numbers(second) == [6, 7, 8]


async def test_what_an_assignment_gave_ends_with_it(store: PostgresStore) -> None:
    ward = await admit(store, since=NOW)
    records = [Rec(n, [pulse(NOW + n * SECOND, n)]) for n in range(1, 5)]
    await store.ingest([make(*records)])
    before = await store.commit_seq()
    await store.unassign(ward.assignment.assignment_id, valid_to=NOW + 3 * SECOND)
    assert await store.commit_seq() > before
    assert numbers(await all_rows(store, ObservationQuery())) == [2, 1]
    # Nobody has the device now, so nobody has a latest value from it.
    assert await store.latest() == ()


async def test_latest_of_the_former_patient_is_not_shown_to_the_next(
    store: PostgresStore,
) -> None:
    ward = await admit(store, since=NOW)
    await store.ingest([make(Rec(1, [pulse(NOW + SECOND, 60)]))])
    other = await store.put_patient(patient("Second"))
    await store.assign(ward.device, other.patient_id, user=None, valid_from=NOW + HOUR)
    assert await store.latest() == ()
    await store.ingest([make(Rec(2, [pulse(NOW + 2 * HOUR, 70)]))])
    (row,) = await store.latest()
    assert (row.patient_id, row.mantissa) == (other.patient_id, 70)


@pytest.mark.each_engine
async def test_taking_over_from_the_beginning_moves_everything(store: PostgresStore) -> None:
    """The wrong patient was chosen: the same moment again replaces the assignment."""
    ward = await admit(store, since=NOW)
    await store.ingest([make(Rec(1, [pulse(NOW + SECOND, 60)]))])
    other = await store.put_patient(patient("Second"))
    await store.assign(ward.device, other.patient_id, user=None, valid_from=NOW)
    (only,) = await store.assignments(device_id=ward.device)
    assert only.patient_id == other.patient_id
    (row,) = await all_rows(store, ObservationQuery())
    assert row.origin.patient_id == other.patient_id


async def test_overlapping_assignments_are_refused(store: PostgresStore) -> None:
    ward = await admit(store, since=NOW)
    await store.unassign(ward.assignment.assignment_id, valid_to=NOW + HOUR)
    other = await store.put_patient(patient("Second"))
    before = await store.commit_seq()
    for user in (None, 1):
        with pytest.raises(StorageError, match="end that assignment first"):
            await store.assign(ward.device, other.patient_id, user=user, valid_from=NOW + HOUR / 2)
    assert await store.commit_seq() == before
    assert len(await store.assignments()) == 1
    await store.assign(ward.device, other.patient_id, user=1, valid_from=NOW + HOUR)
    third = await store.put_patient(patient("Third"))
    with pytest.raises(StorageError, match="for its user 1"):
        await store.assign(ward.device, third.patient_id, user=None, valid_from=NOW + 2 * HOUR)
    await store.assign(ward.device, third.patient_id, user=2, valid_from=NOW + HOUR)
    assert len(await store.assignments()) == 3


@pytest.mark.each_engine
async def test_a_count_is_that_of_all_pages(store: PostgresStore) -> None:
    """Panels once, by their last commit, whatever part of them is asked for."""
    await admit(store)
    systolic, diastolic = cuff(NOW, 120, 1)
    before = await store.ingest([make(Rec(1, [systolic, pulse(NOW, 60)]))])
    await store.ingest([make(Rec(2, [diastolic, pulse(NOW + SECOND, 61)]))])
    (row,) = await all_rows(store, ObservationQuery(metrics=(wire("blood_pressure"),)))
    first = min(each.stored_at for each in await all_rows(store, ObservationQuery()))
    assert row.commit_seq > before[0].commit_seq
    for query in (
        ObservationQuery(),
        ObservationQuery(count=1, order="commit"),
        ObservationQuery(component_metrics=(wire("systolic_bp"),)),
        ObservationQuery(stored=(TimeBound("le", first),)),
        ObservationQuery(stored=(TimeBound("gt", first),)),
        ObservationQuery(
            component_metrics=(wire("systolic_bp"),), stored=(TimeBound("le", first),)
        ),
        ObservationQuery(ids=(row.observation_id, "0" * 32)),
        ObservationQuery(ids=(row.observation_id,), times=(TimeBound("lt", NOW),)),
        ObservationQuery(patients=()),
        ObservationQuery(times=(TimeBound("gt", NOW),)),
    ):
        assert await store.observation_count(query) == len(await all_rows(store, query)), query


async def test_a_reader_sees_each_change_of_the_register(store: PostgresStore) -> None:
    """Assignments and series made elsewhere show in the very next search."""
    ward = await admit(store)
    query = ObservationQuery(patients=(ward.patient,))
    await store.ingest([make(Rec(1, [pulse(NOW, 1)]))])
    assert len(await all_rows(store, query)) == len(await all_rows(store, query)) == 1
    await store.ingest([make(Rec(2, [One("spo2", NOW, 97)]))])  # a new series
    assert len(await all_rows(store, query)) == 2
    heir = await store.put_patient(patient())
    await store.assign(ward.device, heir.patient_id, user=None, valid_from=NOW - timedelta(days=1))
    assert await all_rows(store, query) == []
    assert len(await all_rows(store, ObservationQuery(patients=(heir.patient_id,)))) == 2
    (_, now) = await store.assignments(device_id=ward.device)
    await store.unassign(now.assignment_id, valid_to=NOW)
    assert await all_rows(store, ObservationQuery(patients=(heir.patient_id,))) == []
