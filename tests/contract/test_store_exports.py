"""Exports in the store: readings once each, whatever happens meanwhile; rows under leases."""

import asyncio
import contextlib
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

import pytest

from support.readings import NOW, SECOND, BatchMaker, Rec, cuff, pulse, wire
from support.store import Place, admit, patient
from wardlight_cloud.store.exports import (
    Commits,
    Export,
    ExportLimits,
    ExportOwner,
    ExportState,
    NewExport,
    Refused,
)
from wardlight_cloud.store.observation_rows import ObservationRow
from wardlight_cloud.store.observation_texts import Form, PatientDay
from wardlight_cloud.store.postgres import PostgresStore, exports_readings, observation_texts
from wardlight_cloud.store.queries import ObservationQuery, TimeBound
from wardlight_shared.errors import StorageError

pytestmark = pytest.mark.either_engine

DAY: Final = timedelta(days=1)
HOUR: Final = timedelta(hours=1)
DEVICES: Final = ("ble:00000000000A", "ble:00000000000B")
OWNER: Final = ExportOwner("ehr", None, None)
LIMITS: Final = ExportLimits(for_one=2, in_all=3, octets=1000)


def _texts(rows: Sequence[ObservationRow]) -> list[bytes]:
    return [
        repr((row.commit_seq, row.observation_id, row.circumstances, row.mantissas,
              row.time_us)).encode()
        for row in rows
    ]  # fmt: skip


FORM: Final = Form(b"one", _texts)


def _commit_of(line: bytes) -> int:
    return int(line[1:].partition(b",")[0])


async def _all(store: PostgresStore, query: ObservationQuery, commits: Commits) -> list[bytes]:
    """What the rows say."""
    texts: list[bytes] = []
    query = replace(query, order="oldest", count=500)
    while True:
        page = await store.observations(query)
        texts += _texts(page.rows)
        if page.next is None:
            return sorted(t for t in texts if commits.after < _commit_of(t) <= commits.last)
        query = replace(query, after=page.next)


async def _exported(
    store: PostgresStore,
    query: ObservationQuery,
    commits: Commits,
    rng: random.Random,
    days: Sequence[PatientDay],
) -> list[bytes]:
    """All lines, by somebody who is interrupted now and then and goes on from the last place.

    Meanwhile days are kept.
    """
    texts: list[bytes] = []
    place: bytes | None = None
    is_over = False
    while not is_over:
        is_over = True
        async with contextlib.aclosing(
            store.exported_readings(query, commits, FORM, place=place)
        ) as parts:
            async for part in parts:
                lines = part.text.splitlines()
                assert len(lines) == part.count
                assert part.text.endswith(b"\n") or not lines
                texts += lines
                place = part.place
                if rng.random() < 0.3:
                    is_over = False
                    break
        assert not [each for each in asyncio.all_tasks() if each.get_name() == "read ahead"]
        if not is_over and rng.random() < 0.5:
            await store.keep_day(rng.choice(days), FORM)
    assert len(set(texts)) == len(texts), "a line came twice"
    return sorted(texts)


def _some(rng: random.Random, seq: int) -> Rec:
    device = rng.choice(DEVICES)
    time = NOW + rng.randrange(-2 * 86_400, 2 * 86_400) * SECOND
    if rng.random() < 0.5:
        return Rec(seq, cuff(time, rng.randrange(90, 180), rng.randrange(50, 90), device=device))
    return Rec(seq, [pulse(time, rng.randrange(50, 99), device=device, ord=rng.randrange(2))])


@pytest.mark.timeout(400)
@pytest.mark.parametrize("seed", range(2))
async def test_every_reading_once(
    place: Place, store: PostgresStore, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    for name, size in (
        ("_AT_ONCE", 4),
        ("_DAYS_AT_ONCE", 2),
        ("_PATIENTS_AT_ONCE", 2),
        ("_PATIENTS_WITH_NEWS", 1 + seed),
        ("_AHEAD", 2 * seed),
    ):
        monkeypatch.setattr(exports_readings, name, size)
    monkeypatch.setattr(observation_texts, "_SETTLED", timedelta())
    rng = random.Random(seed)
    make = BatchMaker()
    ward = await admit(store)
    second = await store.put_device(DEVICES[1])
    await store.assign(second, ward.patient, user=None, valid_from=NOW - 365 * DAY)
    other = (await store.put_patient(patient())).patient_id
    queries = (
        ObservationQuery(),
        ObservationQuery(patients=(ward.patient,), metrics=(wire("pulse_rate_oximeter"),)),
        ObservationQuery(component_metrics=(wire("systolic_bp"),)),
        ObservationQuery(times=(TimeBound("ge", NOW - 30 * HOUR), TimeBound("lt", NOW + HOUR))),
    )
    days = [
        PatientDay(patient_id, (NOW + number * DAY).date())
        for number in range(-2, 3)
        for patient_id in (ward.patient, other)
    ]
    seq, last = 0, 0
    for _ in range(6):
        await store.ingest([make(*[_some(rng, seq := seq + 1) for _ in range(9)])])
        if rng.random() < 0.4:
            with contextlib.suppress(StorageError):  # another assignment holds that time
                await store.assign(
                    rng.choice((ward.device, second)), rng.choice((ward.patient, other)),
                    user=None, valid_from=NOW + rng.randrange(-24, 24) * HOUR,
                )  # fmt: skip
        newest = await store.commit_seq()
        middle = rng.randrange(last, newest + 1)
        for query in queries:
            for commits in (Commits(0, newest), Commits(0, middle), Commits(last, newest)):
                exported = await _exported(store, query, commits, rng, days)
                assert exported == await _all(store, query, commits), (query, commits)
        last = newest
    assert len(await place.execute("SELECT FROM kept_day")) > 2


async def _started(store: PostgresStore, owner: ExportOwner = OWNER, **more: object) -> Export:
    made = await store.start_export(
        NewExport(owner, "https://x/fhir/$export", b"plan", **more),  # type: ignore[arg-type]
        LIMITS,
    )
    assert isinstance(made, Export), made
    return made


async def test_what_one_was_told_is_where_the_next_begins(
    place: Place, store: PostgresStore
) -> None:
    make = BatchMaker()
    await admit(store)
    await store.ingest([make(Rec(1, [pulse(NOW, 60)]))])
    first = await _started(store)
    assert (first.since_seq, first.commit_seq) == (0, await store.commit_seq())
    assert first.transaction_time.microsecond % 1000 == 0, "programs keep milliseconds"
    await store.ingest([make(Rec(2, [pulse(NOW + SECOND, 61)]))])
    # A clock that was put back: both commits have one time.
    await place.execute("UPDATE commit_log SET stored_at = $1", first.transaction_time)
    second = await _started(store, since=first.transaction_time)
    assert (second.since_seq, second.commit_seq) == (first.commit_seq, await store.commit_seq())
    await store.end_export(first.export_id)
    until = await _started(store, until=first.transaction_time)
    assert (until.commit_seq, until.transaction_time) == (first.commit_seq, first.transaction_time)
    await store.end_export(until.export_id)
    future = await _started(store, until=first.transaction_time + 400 * DAY)
    assert future.commit_seq == second.commit_seq
    assert future.transaction_time < first.transaction_time + DAY
    await store.end_export(future.export_id)
    before = await _started(store, until=NOW)
    assert (before.commit_seq, before.since_seq) == (0, 0)


async def test_an_export_has_one_holder_and_limits(place: Place, store: PostgresStore) -> None:
    await store.put_client("ehr", b"a" * 32, [])
    await store.put_client("other", b"b" * 32, [])
    theirs = ExportOwner("other", "nurse", None)
    first, second = await _started(store), await _started(store)
    assert await store.start_export(NewExport(OWNER, "", b""), LIMITS) is Refused.FOR_ONE
    third = await _started(store, theirs)
    last = NewExport(replace(theirs, login="doctor"), "", b"")
    assert await store.start_export(last, LIMITS) is Refused.IN_ALL

    assert await store.has_claimable_export()
    held = await store.claim_export("a", lease_s=60)
    assert held is not None and (held.export_id, held.attempt) == (first.export_id, 1)
    assert [e.export_id for e in [await store.claim_export("b", lease_s=60)] if e] == [
        second.export_id
    ]
    assert not await store.save_export(first.export_id, "b", b"", 5, lease_s=60)
    assert await store.save_export(first.export_id, "a", b"half", 600, lease_s=-1)
    again = await store.claim_export("b", lease_s=60)
    assert again is not None and (again.progress, again.attempt) == (b"half", 2)
    assert not await store.finish_export(first.export_id, "a", b"all", 700), "it lost the lease"
    assert await store.finish_export(first.export_id, "b", b"all", 1000)
    done = await store.export(first.export_id)
    assert done is not None and (done.state, done.progress) == (ExportState.DONE, b"all")
    assert await store.start_export(last, LIMITS) is Refused.OCTETS

    await store.leave_exports("b")
    await store.claim_export("c", lease_s=60)
    await store.fail_export(second.export_id, "c", "because")
    failed = await store.export(second.export_id)
    assert failed is not None and (failed.state, failed.problem) == ("failed", "because")
    assert await store.live_exports() == {first.export_id, second.export_id, third.export_id}
    assert await store.outdated_exports(hours=1) == []
    await store.remove_client("other")
    assert not await store.has_claimable_export(), "nobody works for a client that is none"
    assert await store.outdated_exports(hours=1) == [third.export_id]
    assert set(await store.outdated_exports(hours=0)) == await store.live_exports()
    assert await store.end_export(first.export_id)
    assert not await store.end_export(first.export_id)
    assert await store.export(first.export_id) is None
    (kept,) = await place.execute(
        "SELECT client, plan, request, octets FROM bulk_export WHERE export_id = $1",
        first.export_id,
    )
    assert tuple(kept) == ("ehr", b"", "", 0), "who exported when stays, and nothing else"
