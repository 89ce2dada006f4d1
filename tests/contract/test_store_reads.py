"""ReadStore beside Observations: register, latest, curves, operator's view; on every engine."""

import asyncio
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from math import isnan
from uuid import UUID, uuid4

import pytest

from support.readings import DEVICE, GATEWAY, NOW, SECOND, BatchMaker, One, Rec, pulse, wire
from support.store import Place, admit, patient
from support.waiting import wait_until
from wardlight_cloud.store.base import Patient
from wardlight_cloud.store.postgres import PostgresStore
from wardlight_shared.model import Flag

make = BatchMaker()
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
PULSE = "pulse_rate_oximeter"


async def _names(store: PostgresStore, count: int, **filters: object) -> list[tuple[str, str]]:
    names: list[tuple[str, str]] = []
    after = None
    while True:
        rows, after = await store.patients(count=count, after=after, **filters)  # type: ignore[arg-type]
        assert len(rows) <= count
        names += [(row.family, row.given) for row in rows]
        if after is None:
            return names


@pytest.mark.either_engine
async def test_patients_come_in_the_order_of_their_names(store: PostgresStore) -> None:
    people = [("Zorn", "A"), ("Abel", "Z"), ("Abel", "B"), ("Müller", "C"), ("Abel", "B")]
    for family, given in people:
        await store.put_patient(patient(family, given))
    for count in (1, 2, 50):
        assert await _names(store, count) == sorted(people)


@pytest.mark.either_engine
async def test_patients_by_id_identifier_and_name(store: PostgresStore) -> None:
    one = patient("Abel", identifiers=(("urn:mrn", "17"), ("urn:ssn", "99")))
    two = patient("Abendroth", identifiers=(("urn:other", "17"),))
    three = patient("Berg")
    for each in (one, two, three):
        await store.put_patient(each)
    assert await _names(store, 9, ids=[one.patient_id, three.patient_id, uuid4()]) == [
        ("Abel", "One"),
        ("Berg", "One"),
    ]
    assert await _names(store, 9, ids=[]) == []
    assert await _names(store, 1, identifier=(None, "17")) == [
        ("Abel", "One"), ("Abendroth", "One")
    ]  # fmt: skip
    assert await _names(store, 9, identifier=("urn:mrn", "17")) == [("Abel", "One")]
    assert await _names(store, 9, identifier=("urn:mrn", "99")) == []
    assert await _names(store, 1, family_prefix="aBe") == [("Abel", "One"), ("Abendroth", "One")]
    assert await _names(store, 9, family_prefix="%") == []
    assert await _names(store, 9, family_prefix="ab", identifier=("urn:other", "17")) == [
        ("Abendroth", "One")
    ]
    assert await _names(store, 9, ids=[one.patient_id], family_prefix="be") == []


@pytest.mark.either_engine
async def test_a_patient_comes_back_as_put(store: PostgresStore) -> None:
    given = Patient(
        uuid4(), "O'Neil", "Ünal Çelik", date(1950, 2, 28), "other",
        (("urn:b", "2"), ("urn:a", "1")), 0, NOW,
    )  # fmt: skip
    put = await store.put_patient(given)
    assert put.commit_seq == await store.commit_seq() > 0
    assert put.updated_at > NOW
    (found,), _ = await store.patients()
    assert found == put
    assert replace(found, commit_seq=0, updated_at=NOW) == given
    changed = await store.put_patient(replace(put, family="Neil", identifiers=(("urn:c", "3"),)))
    assert changed.commit_seq > put.commit_seq
    (found,), _ = await store.patients(ids=[given.patient_id])
    assert found == changed


@pytest.mark.either_engine
async def test_cursors_of_registers_are_bound_to_their_search(store: PostgresStore) -> None:
    for n in range(3):
        await store.put_patient(patient(f"Abel{n}"))
        await store.put_device(f"ble:00000000000{n}")
    _, after = await store.patients(count=1)
    assert after is not None
    assert b"Abel" not in after
    with pytest.raises(ValueError, match="cursor"):
        await store.patients(count=1, after=after, family_prefix="A")
    with pytest.raises(ValueError, match="cursor"):
        await store.devices(after=after)
    _, device_after = await store.devices(count=1)
    with pytest.raises(ValueError, match="cursor"):
        await store.devices(count=1, after=b"nonsense" * 5)
    assert device_after is not None


@pytest.mark.either_engine
async def test_devices_page_in_the_order_of_id(store: PostgresStore) -> None:
    made = [await store.put_device(f"ble:00000000000{n}") for n in range(5)]
    for count in (1, 2, 5, 50):
        found: list[UUID] = []
        after = None
        while True:
            rows, after = await store.devices(count=count, after=after)
            found += [row.device_id for row in rows]
            if after is None:
                break
        assert found == sorted(made)


@pytest.mark.either_engine
async def test_devices_by_id_identity_and_patient(store: PostgresStore) -> None:
    ward = await admit(store)
    other = await store.put_device("serial:scale", gateway=GATEWAY)

    async def found(**filters: object) -> list[str]:
        rows, _ = await store.devices(**filters)  # type: ignore[arg-type]
        return sorted(row.identity for row in rows)

    assert await found() == sorted([DEVICE, "serial:scale"])
    assert await found(ids=[other]) == ["serial:scale"]
    assert await found(ids=[]) == []
    assert await found(identity="serial:scale") == ["serial:scale"]
    assert await found(identity="nothing") == []
    assert await found(patient=ward.patient) == [DEVICE]
    assert await found(patient=uuid4()) == []
    assert await found(patient=ward.patient, identity="serial:scale") == []
    assert await found(patient=ward.patient, ids=[ward.device, other]) == [DEVICE]
    await store.unassign(ward.assignment.assignment_id, valid_to=datetime.now(UTC) - SECOND)
    assert await found(patient=ward.patient) == []
    (device,), _ = await store.devices(identity="serial:scale")
    assert (device.gateway, device.battery_percent, device.link) == (GATEWAY, None, None)
    assert (dict(device.info), device.last_seen_at) == ({}, None)
    assert device.updated_at is not None


async def test_a_device_is_seen_when_it_measures_and_unchanged_by_it(
    store: PostgresStore,
) -> None:
    await store.ingest([make(Rec(1, [pulse(NOW, 60)]))])
    (first,), _ = await store.devices()
    await store.ingest([make(Rec(2, [pulse(NOW + SECOND, 61)]))])
    (second,), _ = await store.devices()
    assert (first.last_seen_at, second.last_seen_at) == (NOW, NOW + SECOND)
    assert first.commit_seq == second.commit_seq
    assert first.last_stored_at is not None
    assert second.last_stored_at is not None
    assert first.updated_at <= first.last_stored_at < second.last_stored_at


@pytest.mark.either_engine
async def test_a_device_follows_the_gateway_that_tells_of_it(store: PostgresStore) -> None:
    await store.ingest([make(Rec(1, [pulse(NOW, 60)]))])
    other = BatchMaker(gateway="gw-other")
    await store.ingest([other(Rec(1, [pulse(NOW + SECOND, 61)]))])
    (device,), _ = await store.devices()
    assert device.gateway == "gw-other"


async def test_latest_has_every_series_once(store: PostgresStore) -> None:
    ward = await admit(store)
    rows = [One(m, NOW + n * SECOND, n, scale=-1) for n in (1, 2) for m in ("spo2", PULSE)]
    await store.ingest([make(Rec(1, rows))])
    found = await store.latest((ward.patient,))
    assert [(row.metric, row.mantissa, row.scale) for row in found] == [
        (wire(m), 2, -1) for m in sorted((PULSE, "spo2"), key=wire)
    ]
    one = found[0]
    assert (one.patient_id, one.device_id, one.unit, one.user) == (
        ward.patient, ward.device, "/min", None,
    )  # fmt: skip
    assert (one.time, one.error_ms, one.absent, one.flags) == (NOW + 2 * SECOND, 250, 0, 0)
    assert one.commit_seq == await store.commit_seq()
    assert one.stored_at <= datetime.now(UTC) + HOUR
    assert await store.latest() == found
    assert await store.latest(()) == ()
    assert await store.latest((uuid4(),)) == ()


async def _series(place: Place) -> int:
    (row,) = await place.execute("SELECT series_id FROM series WHERE metric = $1", wire(PULSE))
    return int(row["series_id"])


async def test_few_readings_are_shown_as_they_are(place: Place, store: PostgresStore) -> None:
    rows = [pulse(NOW, 613, scale=-1), pulse(NOW + SECOND, 0, absent=3), pulse(NOW + HOUR, 7)]
    await store.ingest([make(Rec(1, rows))])
    series = await _series(place)
    first, second = await store.trend(series, start=NOW, end=NOW + HOUR, max_points=2)
    assert (first.time, first.count, first.absent) == (NOW, 1, 0)
    assert (first.minimum, first.maximum, first.mean) == (61.3, 61.3, 61.3)
    assert (second.time, second.count, second.absent) == (NOW + SECOND, 0, 1)
    assert isnan(second.mean)
    assert await store.trend(series, start=NOW + HOUR, end=NOW, max_points=9) == ()
    assert await store.trend(series + 99, start=NOW, end=NOW + HOUR, max_points=9) == ()


@pytest.mark.parametrize("is_refreshed", [True, False])
async def test_many_readings_are_put_together(
    place: Place, store: PostgresStore, is_refreshed: bool
) -> None:
    """Minutes and hours are right before and after the rebuild of rollups."""
    start = NOW.replace(hour=0, minute=0)
    rows = [
        pulse(start + n * 20 * SECOND, n % 90, absent=8 if n % 90 == 7 else 0) for n in range(1080)
    ]
    await store.ingest([make(Rec(1, rows))])
    if is_refreshed:
        while await store.refresh_rollups(limit=4):
            pass
    series = await _series(place)
    end = start + 6 * HOUR
    minutes = await store.trend(series, start=start, end=end, max_points=400)
    assert len(minutes) == 360
    assert (minutes[0].time, minutes[0].count, minutes[0].mean) == (start, 3, 1.0)
    assert (minutes[0].minimum, minutes[0].maximum, minutes[0].absent) == (0.0, 2.0, 0)
    assert (minutes[2].count, minutes[2].absent, minutes[2].mean) == (2, 1, 7.0)
    hours = await store.trend(series, start=start, end=end, max_points=7)
    assert [point.time for point in hours] == [start + n * HOUR for n in range(6)]
    assert [point.count + point.absent for point in hours] == [180] * 6
    assert (hours[0].minimum, hours[0].maximum) == (0.0, 89.0)
    for points in (2, 10, 50):
        curve = await store.trend(series, start=start, end=end, max_points=points)
        assert 0 < len(curve) <= points
        assert sum(point.count + point.absent for point in curve) == 1080
        assert [point.time for point in curve] == sorted(point.time for point in curve)


async def test_late_readings_are_in_the_curve_at_once_and_after_the_rebuild(
    place: Place, store: PostgresStore
) -> None:
    start = NOW.replace(minute=0)
    await store.ingest([make(Rec(1, [pulse(start + n * SECOND, 10) for n in range(0, 120, 10)]))])
    await store.refresh_rollups(limit=100)
    await store.ingest([make(Rec(2, [pulse(start + 5 * SECOND, 99), pulse(start - HOUR, 50)]))])
    series = await _series(place)
    before = await store.trend(series, start=start - HOUR, end=start + HOUR, max_points=3)
    assert await store.refresh_rollups(limit=100) == 2
    after = await store.trend(series, start=start - HOUR, end=start + HOUR, max_points=3)
    assert before == after
    assert [(point.count, point.maximum) for point in after] == [(1, 50.0), (13, 99.0)]


async def test_curves_leave_out_what_is_not_clinical(place: Place, store: PostgresStore) -> None:
    rows = [pulse(NOW + n * SECOND, 10, flags=int(Flag.TEST) if n else 0) for n in range(5)]
    await store.ingest([make(Rec(1, rows))])
    series = await _series(place)
    for points in (1, 50):
        curve = await store.trend(series, start=NOW, end=NOW + DAY, max_points=points)
        assert sum(point.count for point in curve) == 1
    await store.refresh_rollups(limit=10)
    (point,) = await store.trend(series, start=NOW, end=NOW + DAY, max_points=1)
    assert point.count == 1


async def test_curves_have_a_gap_where_the_device_calls_a_number_invalid(
    place: Place, store: PostgresStore
) -> None:
    rows = [
        pulse(NOW + n * SECOND, 10 + n, flags=0 if n % 2 else int(Flag.INVALID)) for n in range(6)
    ]
    await store.ingest([make(Rec(1, rows))])
    series = await _series(place)
    end = NOW + DAY
    points = await store.trend(series, start=NOW, end=end, max_points=50)
    assert [(point.count, point.absent) for point in points] == [(0, 1), (1, 0)] * 3
    for is_refreshed in (False, True):
        if is_refreshed:
            await store.refresh_rollups(limit=10)
        for span in (timedelta(minutes=1), DAY):  # by minutes, by hours
            (point,) = await store.trend(series, start=NOW, end=NOW + span, max_points=1)
            assert (point.count, point.absent, point.maximum) == (3, 3, 15.0)


@pytest.mark.either_engine
async def test_reports_of_all_and_of_one_gateway(store: PostgresStore) -> None:
    await store.ingest([make(Rec(1)), BatchMaker(gateway="gw-other", epoch=3)(Rec(2))])
    await store.ingest([BatchMaker(gateway="gw-other", epoch=4)(Rec(1))])
    assert [(r.gateway, r.epoch, r.stored) for r in await store.ledger_report()] == [
        ("gw-other", 3, 1), ("gw-other", 4, 1), (GATEWAY, make.epoch, 1),
    ]  # fmt: skip
    assert [r.epoch for r in await store.ledger_report("gw-other")] == [3, 4]
    assert await store.ledger_report("gw-nobody") == ()


async def test_is_ready(place: Place, store: PostgresStore) -> None:
    assert await store.is_ready()
    await place.execute("INSERT INTO schema_version (version, name) VALUES (9999, 'newer')")
    assert not await store.is_ready()
    await place.execute("DELETE FROM schema_version WHERE version = 9999")


async def test_a_listener_hears_of_commits_and_never_misses_the_last(
    store: PostgresStore,
) -> None:
    heard: list[int] = []
    async with store.changes() as changes:

        async def listen() -> None:
            async for change in changes:
                heard.append(change.commit_seq)

        task = asyncio.create_task(listen(), name="listener")
        try:
            for n in range(1, 30):
                await store.ingest([make(Rec(n, [pulse(NOW + n * SECOND, n)]))])
            last = await store.commit_seq()
            await wait_until(lambda: heard and heard[-1] == last, what="the last commit is heard")
        finally:
            task.cancel()
    assert heard == sorted(set(heard))


@pytest.mark.either_engine
async def test_a_listener_hears_nothing_of_what_was_before(store: PostgresStore) -> None:
    await store.ingest([make(Rec(1))])
    async with store.changes() as changes:
        await store.ingest([make(Rec(2))])
        change = await asyncio.wait_for(anext(changes), 180)
    assert change.commit_seq == await store.commit_seq()
