"""Readings by the identifier of the PHD guide: looked up first, and then named by their own.

The identifier says which sensor, what, and when by the sensor's own clock; the store knows what
each sensor told of when.

Source  HL7 Personal Health Device IG (conditional create)
"""

from collections.abc import AsyncIterator, Sequence
from typing import Final, Protocol
from uuid import UUID

from wardlight_cloud.fhir.observation import IDENTIFIER_SYSTEM
from wardlight_cloud.fhir.parameters import split_values, token
from wardlight_cloud.fhir.phd_identifier import SYSTEM, Named, named
from wardlight_cloud.fhir.vocabulary import MDC, measured_by_code
from wardlight_cloud.store.base import ReadStore
from wardlight_cloud.store.queries import ObservationQuery
from wardlight_cloud.store.told_times import ToldTimeStore

_NAME: Final = "identifier"
_AT_ONCE: Final = 500


class IdentifiedStore(ReadStore, ToldTimeStore, Protocol):
    """What is asked of the store."""


def is_looked_up(name: str, text: str) -> bool:
    """Whether a parameter may name a reading so."""
    return name.partition(":")[0] == _NAME and any(_asked(each) for each in split_values(text))


async def with_own_names(store: IdentifiedStore, text: str) -> str:
    """The values of ``identifier``, and beside them the readings that they name."""
    found: list[str] = []
    for each in map(_asked, split_values(text)):
        if each is not None:
            found += await _readings(store, each)
    return ",".join([text, *(f"{IDENTIFIER_SYSTEM}|{name}" for name in dict.fromkeys(found))])


def _asked(text: str) -> Named | None:
    system, value = token(text)
    return named(value) if system in (None, SYSTEM) else None


async def _readings(store: IdentifiedStore, asked: Named) -> Sequence[str]:
    devices = tuple([each async for each in _devices(store, asked)])
    metrics = tuple(sorted({wire for wire, _ in measured_by_code(MDC, asked.type)}))
    if not devices or not metrics:
        return ()
    ids = await store.observations_told(devices, metrics, asked.told)
    rows = (await store.observations(ObservationQuery(ids=ids, count=len(ids)))).rows if ids else ()
    return [
        row.observation_id
        for row in rows
        if await _is_of(store, row.origin.patient_id, asked.patient)
    ]


async def _devices(store: IdentifiedStore, asked: Named) -> AsyncIterator[UUID]:
    """Sensors with the address; by the system id those that the patient has now."""
    for row in (await store.devices(identity=f"ble:{asked.device}", count=1))[0]:
        yield row.device_id
    try:
        patient = UUID(asked.patient)
    except ValueError:
        return
    for row in (await store.devices(patient=patient, count=_AT_ONCE))[0]:
        if (row.info.get("system_id") or "").upper() == asked.device:
            yield row.device_id


async def _is_of(store: IdentifiedStore, patient_id: UUID, patient: str) -> bool:
    """Whether a patient's part of an identifier is this patient's."""
    if patient == str(patient_id):
        return True
    rows, _ = await store.patients(ids=[patient_id], count=1)
    return any(f"{value}-{system}" == patient for row in rows for system, value in row.identifiers)
