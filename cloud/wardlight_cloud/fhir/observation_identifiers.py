"""Readings by the identifier of the PHD guide: looked up first, and then named by their own.

The store has no index of it. The identifier says which sensor, what and when, so what that sensor
measured around that time is looked through; a sensor whose clock was off by more than a day is not
found so.

Source  HL7 Personal Health Device IG (conditional create)
"""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, timedelta
from typing import Final
from uuid import UUID

from wardlight_cloud.fhir.observation import IDENTIFIER_SYSTEM
from wardlight_cloud.fhir.parameters import split_values, token
from wardlight_cloud.fhir.phd_identifier import SYSTEM, Named, named, timestamp
from wardlight_cloud.fhir.vocabulary import MDC, measured_by_code
from wardlight_cloud.store.base import ReadStore
from wardlight_cloud.store.queries import ObservationQuery, TimeBound

_NAME: Final = "identifier"
_AROUND: Final = timedelta(days=1)
_AT_ONCE: Final = 500
_MOST_PAGES: Final = 8


def is_looked_up(name: str, text: str) -> bool:
    """Whether a parameter may name a reading so."""
    return name.partition(":")[0] == _NAME and any(_asked(each) for each in split_values(text))


async def with_own_names(store: ReadStore, text: str) -> str:
    """The values of ``identifier``, and beside them the readings that they name."""
    found: list[str] = []
    for each in map(_asked, split_values(text)):
        if each is not None:
            found += [name async for name in _readings(store, each)]
    return ",".join([text, *(f"{IDENTIFIER_SYSTEM}|{name}" for name in dict.fromkeys(found))])


def _asked(text: str) -> Named | None:
    system, value = token(text)
    return named(value) if system in (None, SYSTEM) else None


async def _readings(store: ReadStore, asked: Named) -> AsyncIterator[str]:
    devices = tuple([each async for each in _devices(store, asked)])
    metrics = tuple(sorted({wire for wire, _ in measured_by_code(MDC, asked.type)}))
    if not devices or not metrics:
        return
    around = asked.clock.replace(tzinfo=UTC)
    query = ObservationQuery(
        devices=devices, metrics=metrics, count=_AT_ONCE,
        times=(TimeBound("ge", around - _AROUND), TimeBound("le", around + _AROUND)),
    )  # fmt: skip
    for _ in range(_MOST_PAGES):
        page = await store.observations(query)
        for row in page.rows:
            if row.device_time is None or timestamp(row.device_time) != asked.timestamp:
                continue
            if await _is_of(store, row.origin.patient_id, asked.patient):
                yield row.observation_id
        if page.next is None:
            return
        query = replace(query, after=page.next)


async def _devices(store: ReadStore, asked: Named) -> AsyncIterator[UUID]:
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


async def _is_of(store: ReadStore, patient_id: UUID, patient: str) -> bool:
    """Whether a patient's part of an identifier is this patient's."""
    if patient == str(patient_id):
        return True
    rows, _ = await store.patients(ids=[patient_id], count=1)
    return any(f"{value}-{system}" == patient for row in rows for system, value in row.identifiers)
