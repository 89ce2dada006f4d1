"""ReadStore: patients, devices, latest values, gateways and their ledgers."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import asyncpg

from wardlight_cloud.store.base import (
    DeadLetter,
    DeviceRow,
    Gateway,
    LatestRow,
    LedgerReport,
    Patient,
)
from wardlight_cloud.store.postgres.device_rows import device_of
from wardlight_cloud.store.postgres.dictionary import NO_LEDGER_EPOCH
from wardlight_cloud.store.postgres.errors import storage_call
from wardlight_cloud.store.postgres.ledgers import Range, gaps, inclusive
from wardlight_cloud.store.postgres.migrations import current_version, newest_version
from wardlight_cloud.store.postgres.part import Database, Part
from wardlight_cloud.store.postgres.sealed import Cursors
from wardlight_cloud.store.postgres.statements import statements
from wardlight_shared.errors import StorageError
from wardlight_shared.model import CODE_BY_ABSENT, NO_NUMBER, Absent

_REGISTER: Final = statements("register")
_LATEST: Final = statements("latest")
_GATEWAYS: Final = statements("gateways")
_INGEST: Final = statements("ingest")
_UNAVAILABLE: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError)
_NO_NUMBER: Final = int(NO_NUMBER)
_INVALID: Final = CODE_BY_ABSENT[Absent.INVALID]

Identifier = tuple[str | None, str]


class ReadsPart(Part):
    """See ReadStore."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._page_cursors = Cursors(database.cursor_key)

    @storage_call
    async def patients(
        self,
        *,
        ids: Sequence[UUID] | None = None,
        identifier: Identifier | None = None,
        family_prefix: str | None = None,
        count: int = 50,
        after: bytes | None = None,
    ) -> tuple[tuple[Patient, ...], bytes | None]:
        """See ReadStore; ValueError for a cursor that is not one of this search."""
        search = repr(("patients", ids, identifier, family_prefix))
        family, given, last = self._position(after, search, tuple[str, str, UUID]) or (None,) * 3
        system, value = identifier or (None, None)
        wanted = None if ids is None else list(ids)
        name = "patients" if identifier is None else "patients_by_identifier"
        statement = _REGISTER[name if ids is None else "patients_by_id"]
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(
                statement, wanted, system, value, family_prefix, family, given, last, count + 1
            )
        found = [_patient(row) for row in rows[:count]]
        following = None
        if len(rows) > count and found:
            end = found[-1]
            position = end.family, end.given, str(end.patient_id)
            following = self._page_cursors.seal(position, search)
        return tuple(found), following

    @storage_call
    async def devices(
        self,
        *,
        ids: Sequence[UUID] | None = None,
        patient: UUID | None = None,
        identity: str | None = None,
        count: int = 50,
        after: bytes | None = None,
    ) -> tuple[tuple[DeviceRow, ...], bytes | None]:
        """See ReadStore; ValueError for a cursor that is not one of this search."""
        search = repr(("devices", ids, patient, identity))
        last = self._position(after, search, UUID)
        wanted = None if ids is None else list(ids)
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(
                _REGISTER[_devices_statement(ids, patient, identity)],
                wanted, patient, identity, last, count + 1,
            )  # fmt: skip
        found = [device_of(row) for row in rows[:count]]
        is_more = len(rows) > count and bool(found)
        following = self._page_cursors.seal(str(found[-1].device_id), search) if is_more else None
        return tuple(found), following

    def _position(self, after: bytes | None, search: str, kind: Any) -> Any:
        return None if after is None else self._page_cursors.open(after, search, kind)

    @storage_call
    async def latest(
        self, patients: Sequence[UUID] | None = None, *, since: int | None = None
    ) -> tuple[LatestRow, ...]:
        """See ReadStore."""
        wanted = None if patients is None else list(patients)
        async with self._connections.acquire() as connection:
            if since is not None:
                rows = await connection.fetch(_LATEST["latest_since"], wanted, since)
            elif wanted is None:
                rows = await connection.fetch(_LATEST["latest"])
            else:
                rows = await connection.fetch(_LATEST["latest_of_patients"], wanted)
        return tuple(_latest(row) for row in rows)

    @storage_call
    async def gateways(self) -> tuple[Gateway, ...]:
        """See ReadStore."""
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(_GATEWAYS["gateways"])
        return tuple(
            Gateway(
                row["gateway"], row["enrolled_at"], row["last_seen_at"], row["online"],
                row["state_at"], row["software"], row["enabled"],
            )
            for row in rows
        )  # fmt: skip

    @storage_call
    async def ledger_report(self, gateway: str | None = None) -> tuple[LedgerReport, ...]:
        """See ReadStore."""
        async with self._connections.acquire() as connection:
            ledgers = await connection.fetch(_GATEWAYS["ledgers"], gateway)
            gateway_ids = sorted({row["gateway_id"] for row in ledgers})
            removals = await connection.fetch(_GATEWAYS["removals"], gateway_ids)
            losses = await connection.fetch(_GATEWAYS["losses"], gateway_ids)
        removed = _by_ledger(removals, lambda row: _count(inclusive(row["seqs"])))
        lost = _by_ledger(losses, lambda row: row["readings"])
        return tuple(
            _report(row, removed.get(_key(row), {}), lost.get(_key(row), {}))
            for row in ledgers
            if row["epoch"] != NO_LEDGER_EPOCH
        )

    @storage_call
    async def dead_letters(self, *, count: int = 100) -> tuple[DeadLetter, ...]:
        """See ReadStore."""
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(_GATEWAYS["dead_letters"], count)
        return tuple(DeadLetter(**dict(row)) for row in rows)

    @storage_call
    async def commit_seq(self) -> int:
        """See ReadStore."""
        async with self._connections.acquire() as connection:
            return int(await connection.fetchval(_INGEST["newest_commit"]))

    async def is_ready(self) -> bool:
        """See ReadStore; a database that is away is not ready."""
        try:
            return await self._schema_version() == newest_version()
        except StorageError:
            return False

    @storage_call
    async def _schema_version(self) -> int:
        async with self._connections.acquire() as connection:
            return await current_version(connection)


def _devices_statement(
    ids: Sequence[UUID] | None, patient: UUID | None, identity: str | None
) -> str:
    """The statement that begins with the condition fewest devices meet."""
    if ids is not None:
        return "devices_by_id"
    if identity is not None:
        return "devices_by_identity"
    return "devices" if patient is None else "devices_of_patient"


def _patient(row: Any) -> Patient:
    fields = dict(row)
    fields["identifiers"] = tuple((system, value) for system, value in row["identifiers"])
    return Patient(**fields)


def _latest(row: Any) -> LatestRow:
    absent = row["absent"] or (_INVALID if row["flags"] & _NO_NUMBER else 0)
    return LatestRow(
        row["patient_id"], row["series_id"], row["device_id"], row["metric"], row["unit"],
        row["user_index"], row["time"], row["stored_at"], row["mantissa"], row["scale"],
        absent, row["flags"], row["error_ms"], row["commit_seq"],
    )  # fmt: skip


def _key(row: Any) -> tuple[int, int]:
    return row["gateway_id"], row["epoch"]


def _by_ledger(rows: Sequence[Any], count_of: Any) -> dict[tuple[int, int], dict[str, int]]:
    found: dict[tuple[int, int], dict[str, int]] = {}
    for row in rows:
        if count := count_of(row):
            found.setdefault(_key(row), {})[row["cause"]] = count
    return found


def _count(ranges: Sequence[Range]) -> int:
    return sum(last - first + 1 for first, last in ranges)


def _report(row: Any, removed: Mapping[str, int], losses: Mapping[str, int]) -> LedgerReport:
    stored, rejected = inclusive(row["stored"]), inclusive(row["rejected"])
    settled = sorted([*stored, *rejected, *inclusive(row["removed"])])
    return LedgerReport(
        gateway=row["gateway"],
        epoch=row["epoch"],
        recorded=row["recorded"],
        stored=_count(stored),
        rejected=_count(rejected),
        removed=removed,
        missing=tuple(gaps(settled, row["recorded"])),
        losses=losses,
    )
