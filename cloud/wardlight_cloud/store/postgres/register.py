"""RegisterStore: patients, devices, assignments, gateways and API clients."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg

from wardlight_cloud.store.base import Assignment, Patient
from wardlight_cloud.store.postgres.connections import Connection
from wardlight_cloud.store.postgres.dictionary import gateway_ids
from wardlight_cloud.store.postgres.errors import storage_call
from wardlight_cloud.store.postgres.part import Part
from wardlight_cloud.store.postgres.statements import statements
from wardlight_cloud.store.unassigned import UNKNOWN_USER
from wardlight_shared.errors import StorageError

_SQL: Final = statements("register")
_GATEWAYS: Final = statements("gateways")
_INGEST: Final = statements("ingest")
_RESOURCES: Final = statements("resources")
_Identifier = tuple[str, str]


class RegisterPart(Part):
    """See RegisterStore."""

    @storage_call
    async def put_patient(self, patient: Patient) -> Patient:
        """See RegisterStore."""
        async with self._connections.transaction() as connection:
            await connection.fetchval(_RESOURCES["lock_resources"])
            taken = await taken_identifier(connection, [patient])
            if taken is not None:
                raise StorageError(
                    f"put_patient: an identifier of system {taken[1][0]} is another patient's "
                    "already; give each patient its own, or take it from the other one first"
                )
            commit_seq, stored_at = await take_commit(connection)
            await put_columns(connection, patient, commit_seq, stored_at)
            await connection.fetchval(_RESOURCES["keep_patient"], patient.patient_id)
        return replace(patient, commit_seq=commit_seq, updated_at=stored_at)

    @storage_call
    async def put_gateway(self, gateway: str, *, enabled: bool = True) -> None:
        """See RegisterStore."""
        async with self._connections.acquire() as connection:
            await connection.execute(_GATEWAYS["put_gateway"], gateway, enabled)

    @storage_call
    async def put_device(self, identity: str, *, gateway: str | None = None) -> UUID:
        """See RegisterStore."""
        async with self._connections.transaction() as connection:
            gateway_id = None
            if gateway is not None:
                gateway_id = (await gateway_ids(connection, [gateway]))[gateway]
            row = await connection.fetchrow(_SQL["device"], identity)
            if row is not None and gateway_id in (None, row["gateway_id"]):
                return UUID(int=row["device_id"].int)
            commit_seq, _ = await take_commit(connection)
            made = await connection.fetchval(_SQL["put_device"], identity, gateway_id, commit_seq)
        return UUID(int=made.int)

    @storage_call
    async def assign(
        self,
        device_id: UUID,
        patient_id: UUID,
        *,
        user: int | None,
        valid_from: datetime,
        valid_to: datetime | None = None,
    ) -> Assignment:
        """See RegisterStore; StorageError when another assignment holds a part of the interval.

        Without ``valid_to`` an open assignment that began at ``valid_from`` or later is replaced.
        """
        if valid_to is not None and valid_to <= valid_from:
            raise StorageError("assign: the end must be after the beginning")
        async with self._connections.transaction() as connection:
            commit_seq, _ = await take_commit(connection)
            if valid_to is None:
                for step in ("end_open_assignment", "replace_open_assignment"):
                    await connection.execute(_SQL[step], device_id, user, valid_from)
            other = await connection.fetchrow(
                _SQL["overlapping"], device_id, user, valid_from, valid_to
            )
            if other is not None:
                raise StorageError(_overlap(other["user_index"], other["valid_from"]))
            try:
                made = await connection.fetchval(
                    _SQL["add_assignment"], device_id, user, patient_id, valid_from, commit_seq,
                    valid_to,
                )  # fmt: skip
            except asyncpg.ForeignKeyViolationError:
                raise StorageError(
                    "assign: this device or this patient is not in the register; add it first"
                ) from None
        return Assignment(UUID(int=made.int), device_id, user, patient_id, valid_from, valid_to)

    @storage_call
    async def unassign(self, assignment_id: UUID, *, valid_to: datetime) -> None:
        """See RegisterStore; an end at or before its beginning removes the assignment.

        StorageError for an unknown one, and for one that has ended earlier: assign again instead.
        """
        async with self._connections.transaction() as connection:
            await take_commit(connection)
            row = await connection.fetchrow(_SQL["assignment"], assignment_id)
            if row is None:
                raise StorageError("unassign: there is no such assignment")
            if row["valid_to"] is not None and row["valid_to"] < valid_to:
                raise StorageError(
                    f"unassign: the assignment ended at {row['valid_to'].isoformat()}; it can only "
                    "be shortened. Assign the device anew for a later time."
                )
            if valid_to <= row["valid_from"]:
                await connection.execute(_SQL["remove_assignment"], assignment_id)
            else:
                await connection.execute(_SQL["end_assignment"], assignment_id, valid_to)

    @storage_call
    async def assignments(self, *, device_id: UUID | None = None) -> tuple[Assignment, ...]:
        """See RegisterStore."""
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(_SQL["assignments"], device_id)
        return tuple(_assignment(row) for row in rows)

    @storage_call
    async def put_client(self, name: str, token_sha256: bytes, scopes: Sequence[str]) -> None:
        """See RegisterStore."""
        async with self._connections.acquire() as connection:
            await connection.execute(_SQL["put_client"], name, token_sha256, list(scopes))

    @storage_call
    async def remove_client(self, name: str) -> bool:
        """See RegisterStore."""
        async with self._connections.acquire() as connection:
            return await connection.fetchval(_SQL["remove_client"], name) is not None

    @storage_call
    async def watch(self, patient_id: UUID, *, until: datetime) -> None:
        """See RegisterStore; StorageError for a patient that is not in the register."""
        async with self._connections.acquire() as connection:
            await connection.execute(_SQL["watch"], patient_id, until)

    @storage_call
    async def release_dead_letter(self, letter_id: int) -> None:
        """See RegisterStore; releasing it again changes nothing."""
        async with self._connections.acquire() as connection:
            if await connection.fetchval(_GATEWAYS["release_dead_letter"], letter_id) is None:
                raise StorageError("release_dead_letter: there is no such letter")


async def taken_identifier(
    connection: Connection, patients: Sequence[Patient]
) -> tuple[UUID, _Identifier] | None:
    """The first identifier that one of the patients is to have, and another one has or is to have.

    None = there is none; one without a system is nobody's own. What both had before stays. Asked
    under ``lock_resources``: whoever writes a patient holds it, so nobody gets one in between.
    """
    wanted = [(each.patient_id, *pair) for each in patients for pair in each.identifiers]
    if not wanted:
        return None
    columns = [list(column) for column in zip(*wanted, strict=True)]
    written = [each.patient_id for each in patients]
    row = await connection.fetchrow(_SQL["taken_identifiers"], *columns, written)
    if row is None:
        return None
    return UUID(int=row["patient_id"].int), (row["system"], row["value"])


async def put_columns(
    connection: Connection, patient: Patient, commit_seq: int, stored_at: datetime
) -> None:
    """The columns of a patient, without the resource that stored resources keep of it."""
    await connection.execute(
        _SQL["put_patient"], patient.patient_id, patient.family, patient.given,
        patient.birth_date, patient.gender, commit_seq, stored_at,
    )  # fmt: skip
    await connection.execute(_SQL["clear_identifiers"], patient.patient_id)
    await connection.execute(
        _SQL["add_identifiers"],
        patient.patient_id,
        [system for system, _ in patient.identifiers],
        [value for _, value in patient.identifiers],
    )


async def take_commit(connection: Connection) -> tuple[int, datetime]:
    """Number and instant of the commit that this transaction will be; see 001."""
    row = await connection.fetchrow(_INGEST["take_commit"])
    assert row is not None  # noqa: S101 - the function returns one row or raises
    return row["commit_seq"], row["stored_at"]


def _overlap(user: int | None, valid_from: datetime) -> str:
    whose = "as a whole" if user is None else f"for its user {user}"
    if user == UNKNOWN_USER:
        whose = "for readings of unknown users"
    return (
        f"assign: from {valid_from.isoformat()} on the device is assigned {whose}; "
        "end that assignment first"
    )


def _assignment(row: Any) -> Assignment:
    return Assignment(
        row["assignment_id"], row["device_id"], row["user_index"], row["patient_id"],
        row["valid_from"], row["valid_to"],
    )  # fmt: skip
