"""ImageStore: what people decide about images: whose study it is, and notes."""

from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson

from wardlight_cloud.store.image_arrivals import Source
from wardlight_cloud.store.imaging import KeyNote, Unmatched, Version, Withdrawal
from wardlight_cloud.store.postgres.connections import Connection
from wardlight_cloud.store.postgres.errors import storage_call
from wardlight_cloud.store.postgres.imaging_rows import source_of
from wardlight_cloud.store.postgres.part import Part
from wardlight_cloud.store.postgres.statements import statements
from wardlight_shared.errors import StorageError

_SQL: Final = statements("images")
_INGEST: Final = statements("ingest")


class ImageQueuePart(Part):
    """See ImageStore."""

    @storage_call
    async def assign_study(self, study_uid: str, patient: UUID, *, by: str) -> None:
        """See ImageStore; StorageError where the index or the register lacks one of them."""
        async with self._connections.transaction() as connection:
            study = await connection.fetchrow(_SQL["lock_study"], study_uid)
            if study is None:
                raise StorageError("assign_study: there is no such study on the index")
            try:
                await connection.execute(
                    _SQL["assign_study"], study_uid, patient, by, study["identities"]
                )
            except asyncpg.ForeignKeyViolationError:
                raise StorageError(
                    "assign_study: this patient is not in the register; add it first"
                ) from None
            await connection.execute(
                _SQL["say_whose"], study["study_pk"], patient, None, study["identities"]
            )
            await change_study(connection, study["study_pk"])

    @storage_call
    async def unmatched(self, *, count: int = 100) -> tuple[Unmatched, ...]:
        """See ImageStore."""
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(_SQL["unmatched"], count)
        return tuple(
            Unmatched(
                row["study_uid"], row["dicom_patient_id"], row["issuer"], row["accession"],
                tuple(row["modalities"]), row["instance_count"], row["unmatched_since"],
                row["unmatched"], row["given_by"],
            )
            for row in rows
        )  # fmt: skip

    @storage_call
    async def versions(self, sop_uid: str | None = None) -> tuple[Version, ...]:
        """See ImageStore; the shown file stands among them."""
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(_SQL["versions"], sop_uid)
        return tuple(_version(row) for row in rows)

    @storage_call
    async def put_note(self, note: KeyNote) -> None:
        """See ImageStore."""
        async with self._connections.transaction() as connection:
            commit = await _commit(connection)
            await connection.execute(
                _SQL["put_note"], note.note_id, note.study_uid, note.sop_uid, note.frame,
                note.text, note.author, note.written_at, orjson.dumps(dict(note.drawing)).decode(),
                note.replaces, commit["commit_seq"],
            )  # fmt: skip
            withdrawal = Withdrawal(note.written_at, note.author)
            if note.replaces is not None and not await _withdraw(
                connection, note.replaces, note.study_uid, withdrawal, commit["commit_seq"]
            ):
                raise StorageError("put_note: there is no such note to replace in this study")

    @storage_call
    async def withdraw_note(self, note_id: UUID, study_uid: str, withdrawal: Withdrawal) -> bool:
        """See ImageStore."""
        async with self._connections.transaction() as connection:
            commit = await _commit(connection)
            return await _withdraw(connection, note_id, study_uid, withdrawal, commit["commit_seq"])

    @storage_call
    async def notes(
        self, *, study_uid: str | None = None, patient: UUID | None = None, count: int = 100
    ) -> tuple[KeyNote, ...]:
        """See ImageStore."""
        async with self._connections.acquire() as connection:
            if study_uid is not None:
                rows = await connection.fetch(_SQL["notes_of_study"], study_uid, count)
            elif patient is not None:
                rows = await connection.fetch(_SQL["notes_of_patient"], patient, count)
            else:
                rows = await connection.fetch(_SQL["newest_notes"], count)
        return tuple(_note(row) for row in rows)


async def change_study(connection: Connection, study_pk: int) -> None:
    """Take a commit for a study that is locked: whoever polls sees it."""
    commit = await _commit(connection)
    await connection.execute(
        _SQL["change_study"], study_pk, commit["commit_seq"], commit["stored_at"]
    )


async def _commit(connection: Connection) -> asyncpg.Record:
    commit = await connection.fetchrow(_INGEST["take_commit"])
    assert commit is not None  # noqa: S101 - the function returns one row or raises
    return commit


async def _withdraw(
    connection: Connection, note_id: UUID, study_uid: str, withdrawal: Withdrawal, commit_seq: int
) -> bool:
    found = await connection.fetchval(
        _SQL["withdraw_note"], note_id, study_uid, withdrawal.at, withdrawal.by, commit_seq
    )
    return found is not None


def _version(row: Any) -> Version:
    source = source_of(row) if row["way"] is not None else Source("import")
    return Version(
        row["sop_uid"], row["sha256"], row["size"], row["stored_at"], source, row["is_shown"],
        row["study_uid"], row["is_elsewhere"],
    )  # fmt: skip


def _note(row: Any) -> KeyNote:
    at, replaces = row["withdrawn_at"], row["replaces"]
    return KeyNote(
        UUID(int=row["note_id"].int), row["study_uid"], row["sop_uid"], row["frame"], row["note"],
        row["author"], row["written_at"], orjson.loads(row["drawing"]),
        None if at is None else Withdrawal(at, row["withdrawn_by"]),
        None if replaces is None else UUID(int=replaces.int),
    )  # fmt: skip
