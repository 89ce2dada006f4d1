"""Names to ids: gateways, ledgers, devices and series, remembered in the process.

Ids never change and are never deleted, so what one collector remembers stays true whatever the
others do. What is new is made in a short transaction of its own, before the ingest transaction and
under the commit lock: two collectors that meet the same new device at once cannot block one
another, and a failed ingest leaves at most names without readings.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from wardlight_cloud.store.batch import IngestBatch
from wardlight_cloud.store.postgres.connections import Connection, Connections
from wardlight_cloud.store.postgres.statements import statements
from wardlight_shared.codes import BY_WIRE, METRICS
from wardlight_shared.records import SeriesKey

_log = logging.getLogger(__name__)
_SQL: Final = statements("dictionary")
_INGEST: Final = statements("ingest")
_MOST: Final = 200_000  # names remembered; a store with more asks again now and then

Ledger = tuple[str, int]
NO_LEDGER_EPOCH: Final = 0
"""Epoch of messages without a readable header: they have dead letters and no ledger."""


@dataclass(slots=True)
class _Known:
    gateways: dict[str, int] = field(default_factory=dict)
    ledgers: set[Ledger] = field(default_factory=set)
    devices: dict[tuple[str, str], UUID] = field(default_factory=dict)  # (gateway, identity)
    series: dict[SeriesKey, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.gateways) + len(self.ledgers) + len(self.devices) + len(self.series)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Names that a call needs and nobody remembers."""

    gateways: frozenset[str]
    ledgers: frozenset[Ledger]
    devices: frozenset[tuple[str, str]]
    series: frozenset[tuple[str, SeriesKey]]  # (gateway, key)

    def __bool__(self) -> bool:
        return bool(self.gateways or self.ledgers or self.devices or self.series)


class Dictionary:
    """Ids of a collector's gateways, devices and series."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._known = _Known()

    def forget(self) -> None:
        """Ask the database again: after a lost connection it may be another one, or restored."""
        self._known = _Known()

    async def learn(self, batches: Sequence[IngestBatch]) -> None:
        """Make sure that every name in ``batches`` has its id here."""
        if len(self._known) > _MOST:
            self.forget()
        wanted = self._wanted(batches)
        if wanted:
            async with self._connections.transaction() as connection:
                learnt = await _learn(connection, wanted)
            # Only now: what was made is committed.
            self._known.gateways.update(learnt.gateways)
            self._known.ledgers.update(learnt.ledgers)
            self._known.devices.update(learnt.devices)
            self._known.series.update(learnt.series)

    def gateway_id(self, gateway: str) -> int:
        """Id of a learnt gateway."""
        return self._known.gateways[gateway]

    def device_id(self, gateway: str, identity: str) -> UUID:
        """Id of a learnt device."""
        return self._known.devices[gateway, identity]

    def series_ids(self, batch: IngestBatch) -> NDArray[np.int32]:
        """Ids by place in ``batch.series``."""
        return np.array([self._known.series[key] for key in batch.series], np.int32)

    def _wanted(self, batches: Sequence[IngestBatch]) -> _Wanted:
        known = self._known
        names = {batch.gateway for batch in batches}
        ledgers = {
            (batch.gateway, batch.epoch) for batch in batches if batch.epoch != NO_LEDGER_EPOCH
        }
        ledgers |= {
            (batch.gateway, epoch) for batch in batches for epoch, _ in batch.origins.values()
        }
        series = {
            (batch.gateway, key)
            for batch in batches
            for key in batch.series
            if key not in known.series
        }
        devices = {(batch.gateway, key.device) for batch in batches for key in batch.series}
        devices |= {
            (batch.gateway, row.device)
            for batch in batches
            for row in batch.statuses
            if row.device is not None
        }
        return _Wanted(
            gateways=frozenset(names - known.gateways.keys()),
            ledgers=frozenset(ledgers - known.ledgers),
            devices=frozenset(devices - known.devices.keys()),
            series=frozenset(series),
        )


async def _learn(connection: Connection, wanted: _Wanted) -> _Known:
    await connection.fetch(_SQL["lock_dictionary"])
    names = wanted.gateways | {name for name, _ in wanted.ledgers | wanted.devices}
    learnt = _Known(gateways=await gateway_ids(connection, names))
    if wanted.ledgers:
        pairs = sorted((learnt.gateways[name], epoch) for name, epoch in wanted.ledgers)
        await connection.execute(_SQL["add_ledgers"], *map(list, zip(*pairs, strict=True)))
        learnt.ledgers |= wanted.ledgers
    pairs_of_devices = wanted.devices | {(name, key.device) for name, key in wanted.series}
    if pairs_of_devices:
        learnt.gateways |= await gateway_ids(connection, {name for name, _ in pairs_of_devices})
        learnt.devices = await _device_ids(connection, pairs_of_devices, learnt.gateways)
    if wanted.series:
        devices = {identity: made for (_, identity), made in learnt.devices.items()}
        keys = sorted({key for _, key in wanted.series}, key=repr)
        learnt.series = await _series_ids(connection, keys, devices)
    return learnt


async def gateway_ids(connection: Connection, names: Iterable[str]) -> dict[str, int]:
    """Ids of gateways; unknown ones are made, switched off."""
    wanted = sorted(set(names))
    found = await connection.fetch(_SQL["gateways"], wanted)
    if len(found) < len(wanted):
        await connection.execute(_SQL["add_gateways"], wanted)
        found = await connection.fetch(_SQL["gateways"], wanted)
    return {row["gateway"]: row["gateway_id"] for row in found}


async def _device_ids(
    connection: Connection, pairs: Iterable[tuple[str, str]], gateways: dict[str, int]
) -> dict[tuple[str, str], UUID]:
    """Ids of devices, made where new; a device belongs to the gateway that told of it last."""
    gateway_of = {identity: gateways[name] for name, identity in sorted(pairs)}
    rows = await connection.fetch(_SQL["devices"], sorted(gateway_of))
    settled = {row["identity"] for row in rows if row["gateway_id"] == gateway_of[row["identity"]]}
    changed = sorted(gateway_of.keys() - settled)
    if changed:
        commit = await connection.fetchrow(_INGEST["take_commit"])
        assert commit is not None  # noqa: S101 - the function returns one row or raises
        ids = [gateway_of[identity] for identity in changed]
        await connection.execute(_SQL["add_devices"], changed, ids, commit["commit_seq"])
        rows = await connection.fetch(_SQL["devices"], sorted(gateway_of))
    made = {row["identity"]: row["device_id"] for row in rows}
    return {(name, identity): made[identity] for name, identity in pairs}


async def _series_ids(
    connection: Connection, keys: Sequence[SeriesKey], devices: dict[str, UUID]
) -> dict[SeriesKey, int]:
    identities = [_identity(key, devices[key.device]) for key in keys]
    found = await connection.fetch(_SQL["series"], *_columns(identities))
    if len(found) < len(keys):
        await _add_series(connection, identities)
        found = await connection.fetch(_SQL["series"], *_columns(identities))
    return {keys[row["place"] - 1]: row["series_id"] for row in found}


_Identity = tuple[UUID, int | None, int, str, str | None, str | None]


async def _add_series(connection: Connection, identities: Sequence[_Identity]) -> None:
    panels = [_panel(metric) for _, _, metric, _, _, _ in identities]
    components = [
        (device, user, panel[0], panel[1], site)
        for (device, user, _, _, site, _), panel in zip(identities, panels, strict=True)
        if panel is not None
    ]
    if components:
        await connection.execute(_SQL["add_panels"], *_columns(components))
    panel_metrics = [None if panel is None else panel[0] for panel in panels]
    panel_units = [None if panel is None else panel[1] for panel in panels]
    await connection.execute(_SQL["add_series"], *_columns(identities), panel_metrics, panel_units)


def _identity(key: SeriesKey, device_id: UUID) -> _Identity:
    metric = BY_WIRE.get(key.metric)
    unit = key.unit if key.unit is not None else "" if metric is None else metric.unit
    return device_id, key.user, key.metric, unit, key.site, key.raw_unit


def _panel(metric: int) -> tuple[int, str] | None:
    """Wire number and unit of the panel that a metric is a component of."""
    row = BY_WIRE.get(metric)
    if row is None or row.component_of is None:
        return None
    panel = METRICS[row.component_of]
    return panel.wire, panel.unit


def _columns(rows: Sequence[tuple[object, ...]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]
