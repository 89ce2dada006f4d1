"""Hl7Store: destinations of HL7 v2 and the messages that wait for them."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from wardlight_cloud.store.hl7_out import (
    DeadMessage,
    Hl7Progress,
    Hl7Status,
    NewMessage,
    WaitingMessage,
)
from wardlight_cloud.store.postgres.errors import storage_call
from wardlight_cloud.store.postgres.part import Part
from wardlight_cloud.store.postgres.statements import statements

_SQL: Final = statements("hl7_out")


class Hl7OutPart(Part):
    """See Hl7Store."""

    @storage_call
    async def hl7_progress(self, destination: str) -> Hl7Progress:
        """See Hl7Store."""
        async with self._connections.acquire() as connection:
            row = await connection.fetchrow(_SQL["progress_of"], destination)
            if row is None:
                await connection.execute(_SQL["add_destination"], destination)
                row = await connection.fetchrow(_SQL["progress_of"], destination)
        assert row is not None  # noqa: S101 - it was added
        return Hl7Progress(
            row["commit_seq"], row["place"], row["turn"], row["newest"], row["gathered_s"],
            row["pause_s"], row["attempts"], row["from_commit"],
        )  # fmt: skip

    @storage_call
    async def add_hl7(
        self,
        destination: str,
        seen: Hl7Progress,
        messages: Sequence[NewMessage],
        *,
        commit_seq: int,
        place: bytes | None,
        is_gathered: bool,
    ) -> bool:
        """See Hl7Store."""
        async with self._connections.transaction() as connection:
            moved = await connection.fetchval(
                _SQL["move_destination"], destination, seen.turn, commit_seq, place, is_gathered
            )
            if moved is None:
                return False
            if messages:
                await connection.execute(
                    _SQL["add_messages"],
                    destination,
                    [each.patient_id for each in messages],
                    [each.observations for each in messages],
                    [each.control_id for each in messages],
                    [each.body for each in messages],
                )
        return True

    @storage_call
    async def take_hl7(self, destination: str, *, count: int) -> tuple[WaitingMessage, ...]:
        """See Hl7Store."""
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(_SQL["take_messages"], destination, count)
        return tuple(
            WaitingMessage(
                row["message_id"], UUID(int=row["patient_id"].int), row["control_id"],
                row["attempts"], row["body"], row["was_dead"],
            )
            for row in rows
        )  # fmt: skip

    @storage_call
    async def settle_hl7_sent(self, message_id: int) -> None:
        """See Hl7Store."""
        async with self._connections.acquire() as connection:
            await connection.execute(_SQL["settle_message_sent"], message_id)

    @storage_call
    async def settle_hl7_failed(
        self, message_id: int, reason: str, *, again_in_s: float | None
    ) -> None:
        """See Hl7Store."""
        async with self._connections.acquire() as connection:
            await connection.execute(_SQL["settle_message_failed"], message_id, reason, again_in_s)

    @storage_call
    async def note_hl7_unknown(self, message_id: int) -> None:
        """See Hl7Store."""
        async with self._connections.acquire() as connection:
            await connection.execute(_SQL["note_message_unknown"], message_id)

    @storage_call
    async def note_hl7_trouble(self, destination: str, reason: str, *, pause_s: float) -> None:
        """See Hl7Store."""
        async with self._connections.acquire() as connection:
            await connection.execute(_SQL["note_trouble"], destination, reason, pause_s)

    @storage_call
    async def hl7_status(self) -> tuple[Hl7Status, ...]:
        """See Hl7Store."""
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(_SQL["destination_status"])
        return tuple(
            Hl7Status(
                row["name"], row["waiting"], row["sent"], row["dead"], row["oldest"],
                row["behind"], row["reason"],
            )
            for row in rows
        )  # fmt: skip

    @storage_call
    async def dead_hl7(
        self,
        *,
        count: int = 100,
        after: int = 0,
        destination: str | None = None,
        message_id: int | None = None,
    ) -> tuple[DeadMessage, ...]:
        """See Hl7Store."""
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(
                _SQL["dead_messages"], count, after, destination, message_id
            )
        return tuple(
            DeadMessage(
                row["message_id"], row["destination"], row["control_id"],
                UUID(int=row["patient_id"].int), row["observations"], row["attempts"],
                row["made_at"], row["reason"],
            )
            for row in rows
        )  # fmt: skip

    @storage_call
    async def hl7_body(self, message_id: int) -> bytes | None:
        """See Hl7Store."""
        async with self._connections.acquire() as connection:
            body: bytes | None = await connection.fetchval(_SQL["message_body"], message_id)
        return body

    @storage_call
    async def retry_hl7(self, message_id: int) -> bool:
        """See Hl7Store."""
        async with self._connections.acquire() as connection:
            return await connection.fetchval(_SQL["retry_message"], message_id) is not None

    @storage_call
    async def drop_hl7_overtaken(self, message_id: int) -> bool:
        """See Hl7Store."""
        async with self._connections.acquire() as connection:
            return await connection.fetchval(_SQL["drop_overtaken"], message_id) is not None

    @storage_call
    async def drop_hl7(self, message_id: int) -> bool:
        """See Hl7Store."""
        async with self._connections.acquire() as connection:
            return await connection.fetchval(_SQL["drop_message"], message_id) is not None

    @storage_call
    async def forget_hl7(self, *, days: int) -> int:
        """See Hl7Store."""
        async with self._connections.acquire() as connection:
            status = await connection.execute(_SQL["forget_messages"], days)
        return int(status.rpartition(" ")[2])
