"""Fills the register: the demo's user, API client, gateway, patients, devices and assignments.

Idempotent: a second start finds everything and changes nothing.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from wardlight_cloud.security.passwords import hash_password
from wardlight_cloud.security.tokens import token_hash
from wardlight_cloud.store.base import Patient, Store
from wardlight_lab.demo.folder import CLIENT, GATEWAY, USER, Kept
from wardlight_lab.demo.ward import MRN_SYSTEM, PEOPLE, DemoDevice, Person

# For trying things out; no other token is made with it. `*` leaves out the audit trail.
_EVERYTHING: Final = ("system/*.cruds", "system/AuditEvent.rs")
_BEGINNING: Final = datetime(2000, 1, 1, tzinfo=UTC)


async def fill(store: Store, kept: Kept, devices: Sequence[DemoDevice]) -> None:
    """Write what is missing."""
    await store.put_user(USER, hash_password(kept.password))
    await store.put_client(CLIENT, token_hash(kept.token), _EVERYTHING)
    await store.put_gateway(GATEWAY)
    owners = {device.label for device in devices}
    people = {person.label: person for person in PEOPLE if person.label in owners}
    for person in people.values():
        await _patient(store, person)
    for device in devices:
        await _assign(store, device, people[device.label])


async def _patient(store: Store, person: Person) -> None:
    found, _ = await store.patients(ids=[person.patient_id])
    if found:
        return
    await store.put_patient(
        Patient(
            patient_id=person.patient_id,
            family=person.family,
            given=person.given,
            birth_date=person.birth_date,
            gender=person.gender,
            identifiers=((MRN_SYSTEM, person.label.upper()),),
            commit_seq=0,
            updated_at=datetime.now(UTC),
        )
    )


async def _assign(store: Store, device: DemoDevice, person: Person) -> None:
    device_id = await store.put_device(device.identity, gateway=GATEWAY)
    if not await store.assignments(device_id=device_id):
        await store.assign(device_id, person.patient_id, user=None, valid_from=_BEGINNING)
