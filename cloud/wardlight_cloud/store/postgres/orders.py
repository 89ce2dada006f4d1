"""OrderStore: orders and the worklists of gateways."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from wardlight_cloud.store.orders import (
    Changes,
    EntryChange,
    EntryRow,
    EntryState,
    NewEntry,
    Order,
)
from wardlight_cloud.store.postgres.connections import Connection
from wardlight_cloud.store.postgres.errors import storage_call
from wardlight_cloud.store.postgres.part import Part
from wardlight_cloud.store.postgres.statements import statements
from wardlight_shared.errors import StorageError
from wardlight_shared.worklist import MAX_ENTRY_BYTES

_SQL: Final = statements("orders")


class OrdersPart(Part):
    """See OrderStore."""

    @storage_call
    async def put_entries(self, entries: Sequence[NewEntry]) -> tuple[int, int]:
        """See OrderStore."""
        new = changed = 0
        async with self._connections.transaction() as connection:
            await connection.execute(_SQL["lock_worklists"])
            known = await _gateways(
                connection, {name for each in entries for name in each.gateways}
            )
            for entry in entries:
                outcome = await _put(connection, entry, sorted(known[g] for g in entry.gateways))
                new += outcome == "new"
                changed += outcome == "changed"
        return new, changed

    @storage_call
    async def remove_entries(self, accession: str, step_id: str | None = None) -> int:
        """See OrderStore."""
        async with self._connections.transaction() as connection:
            await connection.execute(_SQL["lock_worklists"])
            rows = await connection.fetch(_SQL["remove_entries"], accession, step_id)
            await connection.execute(_SQL["unlist_entries"], [row["entry_id"] for row in rows], [])
        return len(rows)

    @storage_call
    async def entries(
        self, *, gateway: str | None = None, everything: bool = False, count: int = 1000
    ) -> tuple[EntryRow, ...]:
        """See OrderStore."""
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(_SQL["entries"], gateway, everything, count)
        return tuple(_entry(row) for row in rows)

    @storage_call
    async def changes_of(
        self, gateway: str, since: int, *, epoch: int = 0, count: int = 256
    ) -> Changes:
        """See OrderStore."""
        async with self._connections.acquire() as connection:
            state = await connection.fetchrow(_SQL["newest_revision"], gateway)
            assert state is not None  # noqa: S101 - an aggregate has one row
            newest = state["newest"]
            is_ours = epoch in (0, state["epoch"]) and since <= newest
            begins = since if is_ours else 0
            rows = await connection.fetch(_SQL["changes"], gateway, begins, newest, count)
        changes = tuple(
            EntryChange(row["entry_id"], row["revision"], row["data_set"]) for row in rows
        )
        return Changes(begins, newest, state["as_of"], changes, state["epoch"])

    @storage_call
    async def worklist_revisions(self, gateways: Sequence[str]) -> Mapping[str, int]:
        """See OrderStore."""
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(_SQL["revisions"], list(gateways))
        return {row["gateway"]: row["newest"] for row in rows}

    @storage_call
    async def order_of(self, accession: str) -> Order | None:
        """See OrderStore."""
        async with self._connections.acquire() as connection:
            row = await connection.fetchrow(_SQL["order"], accession)
            if row is None:
                return None
            studies = await connection.fetch(_SQL["order_studies"], accession)
        return Order(
            row["accession"], row["patient_id"], row["dicom_patient_id"], row["issuer"],
            tuple(study["study_uid"] for study in studies), tuple(row["gateways"]),
            row["birth_date"], tuple(row["data_sets"]),
        )  # fmt: skip


async def _gateways(connection: Connection, names: Iterable[str]) -> dict[str, int]:
    wanted = sorted(names)
    found = await connection.fetch(_SQL["known_gateways"], wanted)
    known = {row["gateway"]: row["gateway_id"] for row in found}
    absent = [name for name in wanted if name not in known]
    if absent:
        raise StorageError(
            f"put_entries: there is no gateway {absent[0]!r}; add it first: `gateway add`"
        )
    return known


async def _put(connection: Connection, entry: NewEntry, gateways: list[int]) -> str:
    """Put one entry: "new", "changed" or "same"."""
    if len(entry.data_set) > MAX_ENTRY_BYTES:
        raise StorageError(f"put_entries: an entry has at most {MAX_ENTRY_BYTES} octets")
    order = await connection.fetchrow(
        _SQL["put_order"], entry.accession, entry.patient, entry.patient_id, entry.issuer
    )
    if order is None:
        raise StorageError(
            "put_entries: the order of this number is another patient's; remove it first"
        )
    if None not in (order["born"], entry.birth_date or None) and order["born"] != entry.birth_date:
        raise StorageError(
            "put_entries: the register has another birth date of the patient of this order than "
            "the entry says; put right whichever is wrong, or remove the order first"
        )
    held = await connection.fetchrow(_SQL["entry_of_step"], entry.accession, entry.step_id)
    values = (
        entry.study_uid, entry.modality, entry.station_ae, entry.starts, entry.data_set,
    )  # fmt: skip
    if held is not None and _is_same(held, values, gateways):
        return "same"
    row = await connection.fetchrow(_SQL["put_entry"], entry.accession, entry.step_id, *values)
    assert row is not None  # noqa: S101 - the statement inserts or updates
    if row["state"] != EntryState.COMPLETED:
        await connection.execute(_SQL["unlist_entries"], [row["entry_id"]], gateways)
        await connection.execute(_SQL["list_entry"], row["entry_id"], gateways)
    return "new" if held is None or held["state"] == EntryState.REMOVED else "changed"


def _is_same(held: Any, values: tuple[object, ...], gateways: list[int]) -> bool:
    """Whether nothing would change: what is done is on no list, whatever gateways are named."""
    columns = ("study_uid", "modality", "station_ae", "starts", "data_set")
    if tuple(held[name] for name in columns) != values:
        return False
    state = EntryState(held["state"])
    if state in (EntryState.COMPLETED, EntryState.REMOVED):
        return state is EntryState.COMPLETED
    return list(held["gateway_ids"]) == gateways


def _entry(row: Any) -> EntryRow:
    return EntryRow(
        entry=row["entry_id"], accession=row["accession"], step_id=row["step_id"],
        study_uid=row["study_uid"], patient=row["patient_id"], patient_id=row["dicom_patient_id"],
        issuer=row["issuer"], modality=row["modality"], station_ae=row["station_ae"],
        starts=row["starts"], state=EntryState(row["state"]), gateways=tuple(row["gateways"]),
        changed_at=row["changed_at"],
    )  # fmt: skip
