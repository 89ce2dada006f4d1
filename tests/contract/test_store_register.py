"""RegisterStore: assignments, users, clients; on every engine."""

from datetime import timedelta
from uuid import uuid4

import pytest

from support.readings import DEVICE, NOW
from support.store import admit, patient
from wardlight_cloud.store.authorization import TokenRow
from wardlight_cloud.store.base import Assignment
from wardlight_cloud.store.postgres import PostgresStore
from wardlight_shared.errors import StorageError

pytestmark = pytest.mark.either_engine

HOUR = timedelta(hours=1)


async def test_a_device_has_one_id(store: PostgresStore) -> None:
    device = await store.put_device(DEVICE)
    commit = await store.commit_seq()
    assert await store.put_device(DEVICE) == device
    assert await store.commit_seq() == commit
    assert await store.put_device(DEVICE, gateway="gw-one") == device
    assert await store.put_device(DEVICE, gateway="gw-two") == device
    assert await store.put_device(DEVICE) == device
    (row,), _ = await store.devices()
    assert (row.device_id, row.gateway) == (device, "gw-two")
    assert row.commit_seq > commit
    assert await store.put_device("ble:0000000000FF") != device


async def test_an_assignment_ends_where_the_next_begins(store: PostgresStore) -> None:
    ward = await admit(store, since=NOW)
    other = await store.put_patient(patient("Second"))
    second = await store.assign(ward.device, other.patient_id, user=None, valid_from=NOW + HOUR)
    assert second == Assignment(
        second.assignment_id, ward.device, None, other.patient_id, NOW + HOUR, None
    )
    first = ward.assignment
    ended = Assignment(
        first.assignment_id, ward.device, None, ward.patient, NOW, NOW + HOUR
    )  # fmt: skip
    assert await store.assignments() == (ended, second)
    assert await store.assignments(device_id=ward.device) == (ended, second)
    assert await store.assignments(device_id=uuid4()) == ()


async def test_users_of_a_device_are_assigned_by_themselves(store: PostgresStore) -> None:
    first = await admit(store, user=1, since=NOW)
    await admit(store, user=2, since=NOW)
    third = await store.put_patient(patient("Third"))
    await store.assign(first.device, third.patient_id, user=1, valid_from=NOW + HOUR)
    ends = [(each.user, each.valid_to) for each in await store.assignments()]
    assert sorted(ends, key=repr) == sorted(
        [(1, NOW + HOUR), (2, None), (1, None)], key=repr
    )  # fmt: skip


async def test_an_assignment_can_only_be_shortened(store: PostgresStore) -> None:
    ward = await admit(store, since=NOW)
    name = ward.assignment.assignment_id
    await store.unassign(name, valid_to=NOW + 2 * HOUR)
    with pytest.raises(StorageError, match="only be shortened"):
        await store.unassign(name, valid_to=NOW + 3 * HOUR)
    await store.unassign(name, valid_to=NOW + HOUR)
    (left,) = await store.assignments()
    assert left.valid_to == NOW + HOUR
    await store.unassign(name, valid_to=NOW)
    assert await store.assignments() == ()
    with pytest.raises(StorageError, match="no such assignment"):
        await store.unassign(name, valid_to=NOW)


async def test_only_known_devices_and_patients_are_assigned(store: PostgresStore) -> None:
    ward = await admit(store, since=NOW)
    before = await store.commit_seq()
    with pytest.raises(StorageError, match="not in the register"):
        await store.assign(uuid4(), ward.patient, user=None, valid_from=NOW)
    with pytest.raises(StorageError, match="not in the register"):
        await store.assign(ward.device, uuid4(), user=None, valid_from=NOW + HOUR)
    assert await store.commit_seq() == before
    assert await store.assignments() == (ward.assignment,)


async def test_users_have_the_hash_that_was_put_last(store: PostgresStore) -> None:
    assert await store.password_hash("nurse") is None
    await store.put_user("nurse", "$argon2id$1")
    await store.put_user("nurse", "$argon2id$2")
    assert await store.password_hash("nurse") == "$argon2id$2"
    assert await store.password_hash("Nurse") is None


async def test_clients_are_known_by_the_hash_of_their_token(store: PostgresStore) -> None:
    await store.put_client("ehr", b"a" * 32, ["system/Observation.rs", "system/Patient.rs"])
    assert await store.token(b"a" * 32) == TokenRow(
        "ehr", ("system/Observation.rs", "system/Patient.rs")
    )
    assert await store.token(b"b" * 32) is None
    await store.put_client("ehr", b"b" * 32, [])
    assert await store.token(b"a" * 32) is None
    assert await store.token(b"b" * 32) == TokenRow("ehr", ())
    assert await store.remove_client("ehr")
    assert not await store.remove_client("ehr")
    assert await store.token(b"b" * 32) is None


async def test_an_unknown_letter_cannot_be_released(store: PostgresStore) -> None:
    with pytest.raises(StorageError, match="no such letter"):
        await store.release_dead_letter(17)


async def test_errors_name_no_patient(store: PostgresStore) -> None:
    """Exceptions end in logs: neither message nor chain may hold what was stored."""
    ward = await admit(store)
    with pytest.raises(StorageError) as caught:
        await store.put_patient(patient("Secretname\0"))
    error: BaseException | None = caught.value
    while error is not None:
        assert "Secretname" not in str(error)
        error = error.__cause__
    assert ward.patient is not None
