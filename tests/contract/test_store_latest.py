"""Newest values since a commit: just the difference to all of them; on every engine."""

from datetime import UTC, datetime, timedelta

from support.readings import NOW, SECOND, BatchMaker, Rec, cuff, pulse
from support.store import admit, patient
from support.waiting import wait_until
from wardlight_cloud.store.postgres import PostgresStore
from wardlight_shared.model import CODE_BY_ABSENT, Absent, Flag

make = BatchMaker()
OTHER = "ble:00000000000B"


async def _check_all(store: PostgresStore) -> None:
    """For each commit and each choice of patients, what is newer than that commit."""
    everything = await store.latest()
    patients = sorted({row.patient_id for row in everything})
    for since in range(await store.commit_seq() + 2):
        expected = tuple(row for row in everything if row.commit_seq > since)
        assert await store.latest(since=since) == expected
        for chosen in ([], patients[:1], patients):
            found = await store.latest(chosen, since=since)
            assert found == tuple(row for row in expected if row.patient_id in chosen)


async def test_since_a_commit_is_what_is_newer(store: PostgresStore) -> None:
    ward = await admit(store)
    await admit(store, device=OTHER)
    for number in range(1, 5):
        moment = NOW + number * SECOND
        readings = [*cuff(moment, 120 + number, 80), pulse(moment, 60, device=OTHER)]
        await store.ingest([make(Rec(number, readings[: 1 + number % 3]))])
    await store.ingest([make(Rec(9, [pulse(NOW - SECOND, 55, device=OTHER)]))])  # nothing newer
    await _check_all(store)
    heir = await store.put_patient(patient("Heir"))
    await store.assign(ward.device, heir.patient_id, user=None, valid_from=NOW)
    assert {row.patient_id for row in await store.latest([heir.patient_id])} == {heir.patient_id}
    await _check_all(store)


async def test_a_number_that_the_device_calls_invalid_is_none(store: PostgresStore) -> None:
    """Tiles, lists and the live feed show no number: what FHIR tells as entered in error."""
    await admit(store)
    await store.ingest([make(Rec(1, [pulse(NOW, 60)]))])
    wrong = pulse(NOW + SECOND, 300, flags=int(Flag.INVALID | Flag.SIGNAL_POOR))
    await store.ingest([make(Rec(2, [wrong]))])
    (row,) = await store.latest()
    assert (row.absent, row.flags) == (CODE_BY_ABSENT[Absent.INVALID], wrong.flags)
    assert await store.latest(since=1) == (row,)
    again = pulse(NOW + 2 * SECOND, 61, flags=int(Flag.QUESTIONABLE))
    await store.ingest([make(Rec(3, [again]))])
    (row,) = await store.latest()
    assert (row.absent, row.mantissa) == (0, 61)


async def test_an_assignment_that_has_begun_since_is_news(store: PostgresStore) -> None:
    """It was told of before it held, and no commit tells of its beginning."""
    for number, lead_s in enumerate((1.5, 6, 24)):
        person = await store.put_patient(patient(f"Patient {number}"))
        identity = f"ble:00000000000{number}"
        device = await store.put_device(identity)
        begins = datetime.now(UTC) + timedelta(seconds=lead_s)
        await store.assign(device, person.patient_id, user=None, valid_from=begins)
        await store.ingest([make(Rec(1 + number, [pulse(begins + SECOND, 60, device=identity)]))])
        since = await store.commit_seq()
        early = await store.latest([person.patient_id], since=since)
        if datetime.now(UTC) < begins:  # else a busy machine took longer than that
            break
    assert early == ()

    async def has_begun() -> bool:
        return bool(await store.latest([person.patient_id]))

    await wait_until(has_begun, 60)
    begun = await store.latest([person.patient_id])
    assert await store.latest([person.patient_id], since=since) == begun
