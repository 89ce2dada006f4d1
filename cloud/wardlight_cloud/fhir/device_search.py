"""Searches of Device: gateways, which are few, then sensors, of which the store has pages.

Both are found by ``_id`` and ``identifier``; what else is asked must hold as well. Gateways belong
to no patient, and a search that names nothing lists sensors only.

Cursors  ``g`` and the last gateway shown, or ``d`` and the store's cursor
Errors   ValueError for a cursor of another search
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from wardlight_cloud.fhir.asking import identity, ids, plain
from wardlight_cloud.fhir.parameters import reference_id, split_values, token
from wardlight_cloud.fhir.resources import GATEWAY_SYSTEM
from wardlight_cloud.store.base import DeviceRow, Gateway, ReadStore

GATEWAY_ID: Final = "gateway-"
_OF_GATEWAYS: Final = b"g"
_OF_SENSORS: Final = b"d"

Found = tuple[tuple[Gateway | DeviceRow, ...], bytes | None]


@dataclass(frozen=True, slots=True)
class DeviceSearch:
    """What a search asks for; None = it does not ask for that."""

    ids: frozenset[str] | None
    identifier: str | None
    patient: UUID | None
    of_nobody: bool  # a patient is asked for that cannot be one of ours

    async def find(self, store: ReadStore, *, count: int, after: bytes | None) -> Found:
        """A page of at most ``count``, and the cursor of the next."""
        stage, place = (b"", b"") if after is None else (after[:1], after[1:])
        if stage == _OF_SENSORS:
            return await self._sensors(store, count, place)
        gateways = await self._gateways(store)
        if after is not None:
            names = [each.gateway.encode() for each in gateways]
            if stage != _OF_GATEWAYS or place not in names:
                raise ValueError("not a cursor of this search")
            gateways = gateways[names.index(place) + 1 :]
        return await self._mixed(store, gateways, count)

    async def _mixed(self, store: ReadStore, gateways: tuple[Gateway, ...], count: int) -> Found:
        shown = gateways[:count]
        room = count - len(shown)
        if len(gateways) <= count and room > 0:
            sensors, following = await self._sensors(store, room, None)
            return (*shown, *sensors), following
        more = len(gateways) > count or (await self._sensors(store, 1, None))[0]
        return shown, _OF_GATEWAYS + shown[-1].gateway.encode() if more else None

    async def _gateways(self, store: ReadStore) -> tuple[Gateway, ...]:
        is_named = self.ids is not None or self.identifier is not None
        if not is_named or self.patient is not None or self.of_nobody:
            return ()
        found = [each for each in await store.gateways() if self._is_asked_for(each.gateway)]
        return tuple(sorted(found, key=lambda each: each.gateway))

    def _is_asked_for(self, gateway: str) -> bool:
        if self.ids is not None and GATEWAY_ID + gateway not in self.ids:
            return False
        return self.identifier is None or token(self.identifier) in (
            (None, gateway),
            (GATEWAY_SYSTEM, gateway),
        )

    async def _sensors(self, store: ReadStore, count: int, after: bytes | None) -> Found:
        known = None if self.identifier is None else identity(self.identifier)
        wanted = None if self.ids is None else ids(self.ids)
        if self.of_nobody or known == "" or wanted == []:
            if after is not None:
                raise ValueError("no page of this search")
            return (), None
        rows, following = await store.devices(
            ids=wanted, patient=self.patient, identity=known, count=count, after=after
        )
        return rows, None if following is None else _OF_SENSORS + following


def device_search(values: Mapping[str, str]) -> DeviceSearch:
    """Parse the honoured parameters; FhirError 400 for one that cannot be used."""
    patient = None
    if "patient" in values:
        patient = reference_id("patient", values["patient"], "Patient")
    return DeviceSearch(
        ids=frozenset(split_values(values["_id"])) if "_id" in values else None,
        identifier=plain(values["identifier"]) if "identifier" in values else None,
        patient=patient,
        of_nobody="patient" in values and patient is None,
    )
