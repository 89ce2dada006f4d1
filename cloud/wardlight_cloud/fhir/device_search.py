"""Searches of Device: gateways and software, which are few, then sensors, of which the store has
pages.

All are found by ``_id``, ``identifier`` and ``type``; what else is asked must hold as well. Only
sensors belong to patients, and a search that names nothing lists sensors only. Of names, makers,
models, states and changes the store has no index: pages of sensors are looked through, and what is
shown of each may be less than a page.

Cursors  ``g`` and the last gateway shown, or ``d`` and the store's cursor
Errors   ValueError for a cursor of another search
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, Final
from uuid import UUID

from wardlight_cloud.fhir.asking import identity, ids, own_id, plain
from wardlight_cloud.fhir.parameters import reference_id, split_values, token
from wardlight_cloud.fhir.resources import (
    COLLECTOR_ID,
    GATEWAY_SYSTEM,
    SOFTWARE_SYSTEM,
    collector_resource,
    device_resource,
    device_version,
    gateway_resource,
    gateway_updated,
)
from wardlight_cloud.store.base import DeviceRow, Gateway, ReadStore

GATEWAY_ID: Final = "gateway-"
_OF_GATEWAYS: Final = b"g"
_OF_SENSORS: Final = b"d"

_PAGES_MOST: Final = 40  # of sensors that one answer looks through


class Software(Enum):
    """What runs here."""

    COLLECTOR = COLLECTOR_ID


COLLECTOR: Final = Software.COLLECTOR
Row = Gateway | DeviceRow | Software
Interval = tuple[datetime | None, datetime | None]
Found = tuple[tuple[Row, ...], bytes | None]


@dataclass(frozen=True, slots=True)
class DeviceSearch:
    """What a search asks for; None = it does not ask for that."""

    ids: frozenset[str] | None
    identifier: str | None
    patient: UUID | None
    of_nobody: bool  # a patient is asked for that cannot be one of ours
    texts: tuple[tuple[str, str], ...] = ()  # device-name, manufacturer, model, status, type
    changed: Interval = (None, None)  # lastUpdated, [from, to)

    async def find(self, store: ReadStore, *, count: int, after: bytes | None) -> Found:
        """A page of at most ``count``, and the cursor of the next."""
        stage, place = (b"", b"") if after is None else (after[:1], after[1:])
        if stage == _OF_SENSORS:
            return await self._sensors(store, count, place)
        gateways = await self._few(store)
        if after is not None:
            names = [_name(each).encode() for each in gateways]
            if stage != _OF_GATEWAYS or place not in names:
                raise ValueError("not a cursor of this search")
            gateways = gateways[names.index(place) + 1 :]
        return await self._mixed(store, gateways, count)

    async def _mixed(
        self, store: ReadStore, gateways: tuple[Gateway | Software, ...], count: int
    ) -> Found:
        shown = gateways[:count]
        room = count - len(shown)
        if len(gateways) <= count and room > 0:
            sensors, following = await self._sensors(store, room, None)
            return (*shown, *sensors), following
        more = len(gateways) > count or (await self._sensors(store, 1, None))[0]
        return shown, _OF_GATEWAYS + _name(shown[-1]).encode() if more else None

    async def _few(self, store: ReadStore) -> tuple[Gateway | Software, ...]:
        """Gateways and software that are asked for, in the order of their names."""
        is_named = self.ids is not None or self.identifier is not None or "type" in dict(self.texts)
        if not is_named or self.patient is not None or self.of_nobody:
            return ()
        few: list[Gateway | Software] = [COLLECTOR, *await store.gateways()]
        found = [each for each in few if self._is_asked_for(each) and self._fits(each)]
        return tuple(sorted(found, key=_name))

    def _fits(self, row: Row) -> bool:
        """Whether it says what the store has no index of."""
        return _has_changed(row, self.changed) and _has_texts(row, self.texts)

    def _is_asked_for(self, row: Gateway | Software) -> bool:
        if self.ids is not None and _name(row) not in self.ids:
            return False
        system, value = (
            (GATEWAY_SYSTEM, row.gateway)
            if isinstance(row, Gateway)
            else (SOFTWARE_SYSTEM, "collector")
        )
        return self.identifier is None or token(self.identifier) in ((None, value), (system, value))

    async def _sensors(self, store: ReadStore, count: int, after: bytes | None) -> Found:
        if not self.texts and self.changed == (None, None):
            return await self._sensors_by_store(store, count, after)
        for _ in range(_PAGES_MOST):
            rows, following = await self._sensors_by_store(store, count, after)
            found = tuple(row for row in rows if self._fits(row))
            if found or following is None:
                break
            after = following.removeprefix(_OF_SENSORS)
        return found, following

    async def _sensors_by_store(self, store: ReadStore, count: int, after: bytes | None) -> Found:
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


def device_search(values: Mapping[str, str], changed: Interval = (None, None)) -> DeviceSearch:
    """Parse the honoured parameters; FhirError 400 for one that cannot be used."""
    patient = None
    if "patient" in values:
        patient = reference_id("patient", values["patient"], "Patient")
    return DeviceSearch(
        ids=frozenset(split_values(values["_id"])) if "_id" in values else None,
        identifier=plain(values["identifier"]) if "identifier" in values else None,
        patient=patient,
        of_nobody="patient" in values and patient is None,
        texts=tuple((name, values[name]) for name in _TEXTS if name in values),
        changed=changed,
    )


def device_of(device_id: str) -> DeviceSearch:
    """The search for one Device, by its id as this server writes it."""
    is_one = device_id.startswith((GATEWAY_ID, COLLECTOR_ID)) or bool(own_id(device_id))
    return DeviceSearch(frozenset({device_id}), None, None, of_nobody=not is_one)


_TEXTS: Final = ("device-name", "manufacturer", "model", "status", "type")


def _name(row: Row) -> str:
    """The id of what is few."""
    if isinstance(row, Gateway):
        return GATEWAY_ID + row.gateway
    return row.value if isinstance(row, Software) else str(row.device_id)


def _has_changed(row: Row, during: Interval) -> bool:
    """Whether the version that is shown came to be then; software has none."""
    if during == (None, None):
        return True
    if isinstance(row, Software):
        return False
    updated = gateway_updated(row) if isinstance(row, Gateway) else device_version(row)[1]
    start, end = during
    return (start is None or updated >= start) and (end is None or updated < end)


def _has_texts(row: Row, texts: tuple[tuple[str, str], ...]) -> bool:
    """Whether its resource says what is asked for; all of a kind look alike to each search."""
    if isinstance(row, Gateway):
        resource = gateway_resource(row)
    else:
        resource = collector_resource() if isinstance(row, Software) else device_resource(row)
    names = [each["name"] for each in resource.get("deviceName", [])]
    told = {
        "device-name": names,
        "manufacturer": [resource.get("manufacturer", "")],
        "model": [resource.get("modelNumber", "")],
    }
    for name, text in texts:
        values = split_values(text)
        if name in told:
            begun = tuple(value.lower() for value in values)
            if not any(each.lower().startswith(begun) for each in told[name]):
                return False
        elif not any(_has_code(resource, name, *token(value)) for value in values):
            return False
    return True


def _has_code(resource: dict[str, Any], name: str, system: str | None, code: str) -> bool:
    if name == "status":
        own = "http://hl7.org/fhir/device-status"
        return system in (None, own) and resource["status"] == code
    return any(
        system in (None, coding["system"]) and code in ("", coding["code"])
        for coding in resource["type"]["coding"]
    )
