"""OrderStore: worklists of gateways, revisions, what performed steps do; on every engine."""

from dataclasses import replace
from datetime import UTC, date, datetime
from uuid import uuid4

import pytest

from support.store import Place, admit, patient
from wardlight_cloud.store.orders import (
    EntryState,
    NewEntry,
    ScheduledStep,
    StepEvent,
    StepPut,
    StepStatus,
)
from wardlight_cloud.store.postgres import PostgresStore
from wardlight_shared.errors import StorageError

pytestmark = pytest.mark.either_engine

ONE = NewEntry(
    accession="A1", step_id="S1", study_uid="1.2.3", patient=None, patient_id="P1", issuer="",
    modality="CT", station_ae="CT1", starts="20260102 080000", gateways=("gw-one",),
    data_set=b"one",
)  # fmt: skip
TWO = replace(ONE, accession="A2", study_uid="1.2.4", starts="20260102 070000", data_set=b"two")
EVENT = StepEvent(
    sop_uid="1.2.9", gateway="gw-one", spool=7, number=1, sha256=b"a" * 32, octets=b"file",
    calling_ae="CT1", received_at=datetime(2026, 1, 2, 8, tzinfo=UTC),
    status=StepStatus.IN_PROGRESS, scheduled=(ScheduledStep("A1", "S1", "1.2.3"),),
    station_ae="CT1", modality="CT", started="20260102 080100",
)  # fmt: skip
DONE = replace(
    EVENT, number=2, sha256=b"b" * 32, status=StepStatus.COMPLETED, scheduled=(), station_ae="",
    modality="", started="", ended="20260102 081500", series=("1.2.3.1",),
)  # fmt: skip


async def _gateways(store: PostgresStore, *names: str) -> None:
    for name in names:
        await store.put_gateway(name)


async def _list(
    store: PostgresStore, gateway: str = "gw-one", since: int = 0
) -> list[bytes | None]:
    return [each.data_set for each in (await store.changes_of(gateway, since)).entries]


async def test_a_list_has_revisions_of_its_own(store: PostgresStore) -> None:
    await _gateways(store, "gw-one", "gw-two")
    assert await store.put_entries([ONE, replace(TWO, gateways=("gw-one", "gw-two"))]) == (2, 0)
    first = await store.changes_of("gw-one", 0)
    assert [each.data_set for each in first.entries] == [b"one", b"two"]
    assert len({each.revision for each in first.entries}) == 2
    assert first.newest == first.entries[-1].revision
    assert await _list(store, "gw-two") == [b"two"]
    assert await _list(store, since=first.entries[0].revision) == [b"two"]
    assert await store.put_entries([ONE]) == (0, 0)
    assert (await store.changes_of("gw-one", first.newest)).entries == ()
    revisions = await store.worklist_revisions(["gw-one", "gw-two", "gw-three"])
    assert revisions["gw-one"] == first.newest and set(revisions) == {"gw-one", "gw-two"}
    assert await _list(store, "gw-three") == []


async def test_a_change_comes_as_a_change_and_a_removal_too(store: PostgresStore) -> None:
    await _gateways(store, "gw-one", "gw-two")
    await store.put_entries([ONE, TWO])
    held = (await store.changes_of("gw-one", 0)).newest
    assert await store.put_entries([replace(ONE, data_set=b"new")]) == (0, 1)
    assert await _list(store, since=held) == [b"new"]
    assert await store.remove_entries("A1") == 1
    assert await store.remove_entries("A1") == 0
    assert await _list(store, since=held) == [None]
    assert await _list(store) == [b"two"]
    moved = replace(TWO, gateways=("gw-two",))
    assert await store.put_entries([moved]) == (0, 1)
    assert await _list(store, since=held) == [None, None]
    assert await _list(store, "gw-two") == [b"two"]
    assert await store.put_entries([ONE]) == (1, 0)
    assert await _list(store) == [b"one"]


async def test_a_gateway_that_knows_more_than_the_store_begins_anew(store: PostgresStore) -> None:
    await _gateways(store, "gw-one")
    await store.put_entries([ONE])
    changes = await store.changes_of("gw-one", 1 << 40)
    assert changes.since == 0
    assert [each.data_set for each in changes.entries] == [b"one"]


async def test_revisions_of_another_epoch_begin_anew(place: Place, store: PostgresStore) -> None:
    await _gateways(store, "gw-one")
    await store.put_entries([ONE, TWO])
    held = await store.changes_of("gw-one", 0)
    assert held.epoch > 0
    again = await store.changes_of("gw-one", held.newest, epoch=held.epoch)
    assert (again.since, again.epoch, again.entries) == (held.newest, held.epoch, ())
    other = await store.changes_of("gw-one", held.newest, epoch=held.epoch + 2)
    assert (other.since, len(other.entries)) == (0, 2)
    # As a backup is brought back into the same database.
    await place.execute("CREATE TABLE kept AS SELECT * FROM worklist_gateway")
    await place.execute("TRUNCATE worklist_gateway")
    await place.execute("INSERT INTO worklist_gateway SELECT * FROM kept")
    await place.execute("DROP TABLE kept")
    restored = await store.changes_of("gw-one", held.newest, epoch=held.epoch)
    assert (restored.since, len(restored.entries)) == (0, 2)
    assert restored.epoch != held.epoch


async def test_pages_follow_one_another(store: PostgresStore) -> None:
    await _gateways(store, "gw-one")
    many = [replace(ONE, step_id=f"S{n}", data_set=b"%d" % n) for n in range(10)]
    assert await store.put_entries(many) == (10, 0)
    found: list[bytes | None] = []
    since = 0
    while True:
        changes = await store.changes_of("gw-one", since, count=3)
        found += [each.data_set for each in changes.entries]
        if not changes.entries:
            break
        since = changes.entries[-1].revision
    assert found == [each.data_set for each in many]


async def test_an_order_is_one_patients(store: PostgresStore) -> None:
    await _gateways(store, "gw-one")
    ward = await admit(store)
    await store.put_entries([replace(ONE, patient=ward.patient)])
    order = await store.order_of("A1")
    assert order is not None
    assert (order.patient, order.patient_id, order.study_uids) == (ward.patient, "P1", ("1.2.3",))
    for other in (replace(ONE, step_id="S2", patient_id="P2"), replace(ONE, patient=uuid4())):
        with pytest.raises(StorageError, match="another patient"):
            await store.put_entries([TWO, other])
    assert await store.order_of("A2") is None, "one call, one transaction"
    assert await store.put_entries([replace(ONE, step_id="S2")]) == (1, 0)
    again = await store.order_of("A1")
    assert again == replace(order, data_sets=(b"one", b"one")), "who it is stays known"
    await store.remove_entries("A1")
    assert await store.order_of("A1") is None
    assert await store.put_entries([replace(ONE, patient_id="P2")]) == (1, 0)
    again = await store.order_of("A1")
    assert again is not None
    assert (again.patient, again.patient_id) == (None, "P2")


async def test_an_entry_of_somebody_born_on_another_day_joins_no_order(
    store: PostgresStore,
) -> None:
    await _gateways(store, "gw-one")
    person = await store.put_patient(patient(birth_date=date(1950, 1, 2)))
    other = replace(ONE, step_id="S2", birth_date="19500103")
    with pytest.raises(StorageError, match="another birth date"):
        await store.put_entries([replace(other, patient=person.patient_id)])
    assert await store.order_of("A1") is None
    await store.put_entries([replace(ONE, patient=person.patient_id, birth_date="19500102")])
    with pytest.raises(StorageError, match="another birth date"):
        await store.put_entries([TWO, other])  # of a file: it names nobody of the register
    assert await store.order_of("A2") is None
    for said in ("19500102", ""):
        await store.put_entries([replace(other, birth_date=said, data_set=said.encode() or b"-")])


async def test_entries_go_to_known_gateways_only(store: PostgresStore) -> None:
    with pytest.raises(StorageError, match="no gateway 'gw-one'"):
        await store.put_entries([ONE])
    assert await store.entries(everything=True) == ()


async def test_entries_are_listed_by_start(store: PostgresStore) -> None:
    await _gateways(store, "gw-one", "gw-two")
    await store.put_entries([ONE, replace(TWO, gateways=("gw-two",))])
    assert [each.accession for each in await store.entries()] == ["A2", "A1"]
    assert [each.accession for each in await store.entries(gateway="gw-one")] == ["A1"]
    await store.remove_entries("A1", "S1")
    assert [each.accession for each in await store.entries()] == ["A2"]
    states = {each.accession: each.state for each in await store.entries(everything=True)}
    assert states == {"A1": EntryState.REMOVED, "A2": EntryState.SCHEDULED}


async def test_a_completed_step_closes_its_entry(store: PostgresStore) -> None:
    await _gateways(store, "gw-one")
    await store.put_entries([ONE, TWO])
    held = (await store.changes_of("gw-one", 0)).newest
    assert await store.put_step_event(EVENT) is StepPut.STORED
    (_, entry) = await store.entries()
    assert entry.state is EntryState.IN_PROGRESS
    assert await _list(store, since=held) == []
    assert await store.put_step_event(DONE) is StepPut.STORED
    assert await _list(store, since=held) == [None]
    (step,) = await store.steps(accession="A1")
    assert (step.status, step.events, step.series) == (StepStatus.COMPLETED, 2, ("1.2.3.1",))
    assert (step.station_ae, step.started, step.ended) == (
        "CT1", "20260102 080100", "20260102 081500",
    )  # fmt: skip
    assert await store.put_entries([ONE]) == (0, 0), "an import again brings nothing back"
    await store.put_entries([replace(ONE, data_set=b"later")])
    assert await _list(store) == [b"two"]
    assert await store.steps(accession="A2") == ()


async def test_an_event_counts_once_and_an_end_is_an_end(store: PostgresStore) -> None:
    await _gateways(store, "gw-one")
    await store.put_entries([ONE])
    for event in (EVENT, DONE):
        assert await store.put_step_event(event) is StepPut.STORED
    for event in (EVENT, DONE):
        assert await store.put_step_event(event) is StepPut.KNOWN
    assert await store.put_step_event(replace(DONE, sha256=b"c" * 32)) is StepPut.DIFFERS
    late = replace(DONE, spool=8, number=1, status=StepStatus.IN_PROGRESS, sha256=b"d" * 32)
    assert await store.put_step_event(late) is StepPut.STORED
    (step,) = await store.steps()
    assert (step.status, step.events) == (StepStatus.COMPLETED, 3)
    assert [each.number for each in await store.step_events("1.2.9")] == [1, 2, 1]
    assert (await store.step_events("1.2.9"))[0].octets == b"file"


async def test_a_discontinued_step_stays_on_the_list(store: PostgresStore) -> None:
    await _gateways(store, "gw-one")
    await store.put_entries([ONE])
    await store.put_step_event(EVENT)
    await store.put_step_event(replace(DONE, status=StepStatus.DISCONTINUED))
    (entry,) = await store.entries()
    assert entry.state is EntryState.DISCONTINUED
    assert await _list(store) == [b"one"]


async def test_a_step_without_accession_is_found_by_its_study(store: PostgresStore) -> None:
    await _gateways(store, "gw-one")
    await store.put_entries([ONE, TWO])
    await store.put_step_event(
        replace(EVENT, status=StepStatus.COMPLETED, scheduled=(ScheduledStep("", "", "1.2.4"),))
    )
    assert await _list(store) == [b"one"]


@pytest.mark.parametrize(
    "said",
    [{"patient_id": "P2"}, {"issuer": "B"}, {"patient_id": "P1", "birth_date": "19500103"}],
)
async def test_a_step_of_one_patient_ends_no_order_of_another(
    store: PostgresStore, said: dict[str, str]
) -> None:
    await _gateways(store, "gw-one")
    person = await store.put_patient(patient(birth_date=date(1950, 1, 2)))
    await store.put_entries([replace(ONE, patient=person.patient_id, issuer="A")])
    wrong = replace(EVENT, patient_id=said.get("patient_id", ""), issuer=said.get("issuer", ""),
                    birth_date=said.get("birth_date", ""))  # fmt: skip
    for event in (wrong, DONE):
        assert await store.put_step_event(event) is StepPut.CONTRADICTS
    assert [each.state for each in await store.entries()] == [EntryState.SCHEDULED]
    assert [(each.status, each.remark) for each in await store.steps()] == [
        (StepStatus.COMPLETED, "another-patient")
    ]
    right = replace(EVENT, sop_uid="1.2.10", patient_id="P1", issuer="a", birth_date="19500102")
    for event in (right, replace(DONE, sop_uid="1.2.10")):
        assert await store.put_step_event(event) is StepPut.STORED
    assert await store.entries() == ()
    assert sorted(each.remark for each in await store.steps()) == ["", "another-patient"]


@pytest.mark.parametrize(
    ("modality", "station", "done"),
    [("US", "US1", "S2"), ("US", "", "S2"), ("CT", "CT2", "S3"), ("CT", "", ""), ("MR", "", "")],
)
async def test_a_step_without_an_id_ends_the_entry_that_it_means(
    store: PostgresStore, modality: str, station: str, done: str
) -> None:
    await _gateways(store, "gw-one")
    second = replace(ONE, step_id="S2", modality="US", station_ae="US1")
    await store.put_entries([ONE, second, replace(ONE, step_id="S3", station_ae="CT2")])
    nameless = replace(
        EVENT, scheduled=(ScheduledStep("A1", "", "1.2.3"),), modality=modality, station_ae=station
    )
    for event in (nameless, DONE):
        assert await store.put_step_event(event) is StepPut.STORED
    left = {each.step_id for each in await store.entries()}
    assert {"S1", "S2", "S3"} - left == {done} - {""}
    assert [each.remark for each in await store.steps()] == ["" if done else "no-entry"]


async def test_an_event_of_a_step_that_never_began_is_kept(store: PostgresStore) -> None:
    assert await store.put_step_event(DONE) is StepPut.STORED
    (step,) = await store.steps()
    assert (step.status, step.scheduled) == (StepStatus.COMPLETED, ())


async def test_a_step_closes_nothing_at_another_site(store: PostgresStore) -> None:
    """Two sites may give the same numbers, and nobody may end what somebody else performs."""
    await _gateways(store, "gw-one", "gw-two", "gw-three")
    await store.put_entries([ONE, replace(TWO, gateways=("gw-one", "gw-two"))])
    theirs = replace(EVENT, gateway="gw-three")
    for event in (theirs, replace(DONE, gateway="gw-three")):
        assert await store.put_step_event(event) is StepPut.STORED
    states = {each.accession: each.state for each in await store.entries()}
    assert states == {"A1": EntryState.SCHEDULED, "A2": EntryState.SCHEDULED}
    assert await store.put_step_event(EVENT) is StepPut.STORED, "its own step of that UID"
    steps = {each.gateway: (each.status, each.events) for each in await store.steps()}
    assert steps == {
        "gw-one": (StepStatus.IN_PROGRESS, 1), "gw-three": (StepStatus.COMPLETED, 2),
    }  # fmt: skip
    assert [each.gateway for each in await store.step_events("1.2.9")] == [
        "gw-three", "gw-three", "gw-one",
    ]  # fmt: skip
    # One of the gateways that it was given to is enough.
    by_study = replace(
        EVENT, gateway="gw-two", sop_uid="1.2.10", scheduled=(ScheduledStep("", "", "1.2.4"),),
        status=StepStatus.COMPLETED,
    )  # fmt: skip
    assert await store.put_step_event(by_study) is StepPut.STORED
    assert [each.accession for each in await store.entries()] == ["A1"]
