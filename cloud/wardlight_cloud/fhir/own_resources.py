"""What this server makes itself, as stored resources have to know it: ids and texts."""

import re
from collections.abc import Mapping, Sequence
from typing import Final, Protocol
from uuid import UUID

import orjson

from wardlight_cloud.fhir.asking import own_id
from wardlight_cloud.fhir.device_search import GATEWAY_ID
from wardlight_cloud.fhir.imaging_ids import ImagingIds
from wardlight_cloud.fhir.imaging_search import ImagingReads
from wardlight_cloud.fhir.observation import observation
from wardlight_cloud.fhir.observation_chains import ChainStore
from wardlight_cloud.fhir.own import device_metric, provenance
from wardlight_cloud.fhir.own.clock import is_clock
from wardlight_cloud.fhir.own.provenance_search import Provenances, ProvenanceStore
from wardlight_cloud.fhir.own.stream_search import is_stream
from wardlight_cloud.fhir.own_conditions import found_here
from wardlight_cloud.fhir.own_referring import Handler, Referring, own_references
from wardlight_cloud.fhir.resources import COLLECTOR_ID, device_resource, gateway_resource
from wardlight_cloud.fhir.stored.asker import Asker
from wardlight_cloud.fhir.stored.including import Included
from wardlight_cloud.fhir.stored.wishes import OwnFound, Query
from wardlight_cloud.security.access import Interaction, Reach
from wardlight_cloud.store.base import DeviceRow
from wardlight_cloud.store.queries import ObservationQuery

_OBSERVATION_ID: Final = re.compile(r"[0-9a-f]{32}")
_IMAGING: Final = ("DocumentReference", "Observation")
_BY_FORM: Final = {"DeviceMetric": device_metric.is_own, "Provenance": provenance.is_own}


class OwnStore(ProvenanceStore, ImagingReads, ChainStore, Protocol):
    """What is asked of the store."""


class OwnResources:
    """Devices, Observations and documents that come from devices; ``searches``: see Referring."""

    def __init__(self, store: OwnStore, searches: Mapping[str, Handler]) -> None:
        self._store = store
        self._referring = Referring(store, searches)
        self._provenances = Provenances(store)
        self._ids: dict[str, ImagingIds] | None = None

    async def owns(self, kind: str, resource_id: str) -> bool:
        """Whether the id is, or could only be, one of its own."""
        if kind in _BY_FORM:
            return _BY_FORM[kind](resource_id)
        if kind == "Device":
            if resource_id.startswith((GATEWAY_ID, COLLECTOR_ID)):
                return True
            ids = own_id(resource_id)
            return bool(ids) and bool((await self._store.devices(ids=ids))[0])
        if kind == "Observation" and (
            _OBSERVATION_ID.fullmatch(resource_id)
            or is_stream(resource_id)
            or is_clock(resource_id)
        ):
            return True
        if kind not in _IMAGING:
            return False
        return (await self._imaging_ids())[kind].uid_of(resource_id) is not None

    async def is_beside_readings(self, resource_id: str) -> bool:
        """Whether it is an Observation of its own that searches of Observations do not list."""
        if _OBSERVATION_ID.fullmatch(resource_id):
            return False
        return await self.owns("Observation", resource_id)

    async def owners(self, kind: str, ids: Sequence[str]) -> dict[str, tuple[UUID, ...]]:
        """Those of the ids that are there, and the patients that they are about, if any.

        Of readings both are looked up; what else is made here counts as there by the form of its
        id, which nobody can make up.
        """
        found: dict[str, tuple[UUID, ...]] = {}
        readings = tuple(
            each for each in ids if kind == "Observation" and _OBSERVATION_ID.fullmatch(each)
        )
        if readings:
            query = ObservationQuery(ids=readings, count=len(readings))
            rows = (await self._store.observations(query)).rows
            found = {row.observation_id: (row.origin.patient_id,) for row in rows}
        for resource_id in ids:
            if resource_id not in readings and await self.owns(kind, resource_id):
                found[resource_id] = ()
        return found

    async def found(self, asker: Asker, kind: str, given: Query) -> Sequence[OwnFound]:
        """Those that a condition finds of what the asker may search, two at most."""
        return await found_here(self._store, self, asker, kind, given)

    async def reads(self, asker: Asker, kind: str, resource_id: str) -> bool:
        """Whether the asker may read one of its own."""
        if asker.limits_or_none(kind, Interaction.READ) is None:
            return False
        return bool(await self.own_texts(asker, kind, [resource_id]))

    async def own_texts(self, asker: Asker, kind: str, ids: Sequence[str]) -> list[Included]:
        """Those of the ids that are sensors, gateways or readings, and in reach."""
        if kind == "Device":
            return await self._devices(asker, ids)
        return await self._observations(asker, ids) if kind == "Observation" else []

    async def own_referring(
        self, asker: Asker, kind: str, names: Sequence[str], references: Sequence[str]
    ) -> list[Included]:
        """Those in reach that one of the names leads from to one of the references."""
        found: list[Included] = []
        if asker.limits_or_none(kind, Interaction.SEARCH) is not None:
            for name in names:
                wanted = own_references(kind, name, references)
                if wanted and (kind, name) == (provenance.KIND, "target"):
                    found += await self._provenances_of(asker, wanted)
                elif wanted:
                    found += await self._referring.of(asker, kind, name, wanted)
        return found

    async def _provenances_of(self, asker: Asker, references: Sequence[str]) -> list[Included]:
        """The Provenances of readings."""
        limits = asker.limits(provenance.KIND)
        names = (each.partition("/")[2] for each in references)
        ids = tuple(name for name in names if _OBSERVATION_ID.fullmatch(name))
        query = ObservationQuery(patients=limits.patients, ids=ids, count=len(ids))
        rows = (await self._store.observations(query)).rows if ids else ()
        found = await self._provenances.of_observations(rows, Reach(limits.patients))
        return [Included(provenance.KIND, each["id"], orjson.dumps(each)) for each in found]

    async def _devices(self, asker: Asker, ids: Sequence[str]) -> list[Included]:
        patients = asker.limits("Device", Interaction.READ).patients
        wanted = [each for text in ids for each in own_id(text)]
        rows: list[DeviceRow] = []
        for patient in (None,) if patients is None else patients:
            rows += (await self._store.devices(ids=wanted, patient=patient, count=len(ids)))[0]
        found = [
            Included("Device", str(row.device_id), orjson.dumps(device_resource(row)))
            for row in rows
        ]
        names = {text.removeprefix(GATEWAY_ID) for text in ids if text.startswith(GATEWAY_ID)}
        if names and patients is None:
            found += [
                Included("Device", GATEWAY_ID + each.gateway, orjson.dumps(gateway_resource(each)))
                for each in await self._store.gateways()
                if each.gateway in names
            ]
        return found

    async def _observations(self, asker: Asker, ids: Sequence[str]) -> list[Included]:
        limits = asker.limits("Observation", Interaction.READ)
        wanted = tuple(each for each in ids if _OBSERVATION_ID.fullmatch(each))
        if limits.conditions or not wanted:  # categories of readings are not looked at here
            return []
        query = ObservationQuery(patients=limits.patients, ids=wanted, count=len(wanted))
        page = await self._store.observations(query)
        return [Included("Observation", row.observation_id, observation(row)) for row in page.rows]

    async def _imaging_ids(self) -> dict[str, ImagingIds]:
        if self._ids is None:
            key = await self._store.image_id_key()
            self._ids = {kind: ImagingIds(key, kind) for kind in _IMAGING}
        return self._ids
