"""OrderStore: the procedure steps that modalities performed, and the entries that they close."""

from typing import Any, Final

from wardlight_cloud.store.orders import (
    EntryState,
    ScheduledStep,
    StepEvent,
    StepPut,
    StepRow,
    StepStatus,
)
from wardlight_cloud.store.postgres.connections import Connection
from wardlight_cloud.store.postgres.dictionary import gateway_ids
from wardlight_cloud.store.postgres.errors import storage_call
from wardlight_cloud.store.postgres.part import Part
from wardlight_cloud.store.postgres.statements import statements

_SQL: Final = statements("steps")
_ORDERS: Final = statements("orders")
_STATES: Final = {
    StepStatus.IN_PROGRESS: EntryState.IN_PROGRESS,
    StepStatus.COMPLETED: EntryState.COMPLETED,
    StepStatus.DISCONTINUED: EntryState.DISCONTINUED,
}


class StepsPart(Part):
    """See OrderStore."""

    @storage_call
    async def put_step_event(self, event: StepEvent) -> StepPut:
        """See OrderStore."""
        async with self._connections.transaction() as connection:
            gateway = (await gateway_ids(connection, [event.gateway]))[event.gateway]
            await connection.execute(_SQL["begin_step"], event.sop_uid, gateway)
            await connection.fetchval(_SQL["lock_step"], event.sop_uid, gateway)
            known = await connection.fetchval(
                _SQL["step_event"], event.sop_uid, gateway, event.spool, event.number
            )
            if known is not None:
                return StepPut.KNOWN if known == event.sha256 else StepPut.DIFFERS
            await connection.execute(
                _SQL["add_step_event"], event.received_at, event.spool, event.number, gateway,
                event.sop_uid, event.calling_ae, event.status, event.sha256, event.octets,
            )  # fmt: skip
            status = await connection.fetchval(
                _SQL["change_step"], event.sop_uid, event.status, event.station_ae,
                event.modality, event.started, event.ended,
                [each.accession for each in event.scheduled],
                [each.step_id for each in event.scheduled],
                [each.study_uid for each in event.scheduled],
                list(event.series), gateway, event.patient_id, event.issuer, event.birth_date,
            )  # fmt: skip
            return await _follow(connection, event.sop_uid, gateway, _STATES[StepStatus(status)])

    @storage_call
    async def steps(self, *, accession: str | None = None, count: int = 100) -> tuple[StepRow, ...]:
        """See OrderStore."""
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(_SQL["steps"], accession, count)
        return tuple(_step(row) for row in rows)

    @storage_call
    async def step_events(self, sop_uid: str) -> tuple[StepEvent, ...]:
        """See OrderStore; what events say beside their status is in ``octets``."""
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(_SQL["step_events"], sop_uid)
        return tuple(
            StepEvent(
                row["sop_uid"], row["gateway"], row["spool"], row["number"], row["sha256"],
                row["octets"], row["calling_ae"], row["received_at"],
                None if row["status"] is None else StepStatus(row["status"]),
            )
            for row in rows
        )  # fmt: skip


async def _follow(
    connection: Connection, sop_uid: str, gateway_id: int, state: EntryState
) -> StepPut:
    """Entries are what is done of them; what is completed leaves the lists."""
    rows = await connection.fetch(_SQL["entries_of_step"], sop_uid, gateway_id)
    entries = [row["entry_id"] for row in rows if row["is_theirs"]]
    if entries:
        await connection.execute(_ORDERS["lock_worklists"])
        if state is EntryState.COMPLETED:
            await connection.execute(_ORDERS["unlist_entries"], entries, [])
        await connection.execute(_ORDERS["set_entries"], entries, state)
    return StepPut.STORED if len(entries) == len(rows) else StepPut.CONTRADICTS


def _step(row: Any) -> StepRow:
    scheduled = zip(row["accessions"], row["step_ids"], row["study_uids"], strict=True)
    return StepRow(
        row["sop_uid"], row["gateway"], StepStatus(row["status"]),
        tuple(ScheduledStep(*each) for each in scheduled), row["station_ae"], row["modality"],
        row["started"], row["ended"], tuple(row["series_uids"]), row["events"], row["updated_at"],
        row["remark"],
    )  # fmt: skip
