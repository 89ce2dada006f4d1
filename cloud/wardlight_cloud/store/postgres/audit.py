"""AuditStore: who did what with patients' data."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from wardlight_cloud.store.audit import AuditEntry, AuditQuery, AuditRow
from wardlight_cloud.store.postgres.errors import storage_call
from wardlight_cloud.store.postgres.part import Part
from wardlight_cloud.store.postgres.statements import statements

_SQL: Final = statements("audit")
_NOWHERE: Final = (None, None)


class AuditPart(Part):
    """See AuditStore."""

    @storage_call
    async def put_audit(self, entries: Sequence[AuditEntry]) -> None:
        """See AuditStore."""
        if not entries:
            return
        columns = [list(column) for column in zip(*entries, strict=True)]
        async with self._connections.acquire() as connection:
            await connection.execute(_SQL["put_audit"], *columns)

    @storage_call
    async def audit_events(self, query: AuditQuery) -> tuple[AuditRow, ...]:
        """See AuditStore."""
        lows, highs = _ranges(query.statuses)
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(
                _SQL["audit_events"],
                query.reach, query.patients, query.start, query.end, *_columns(query.events),
                query.actions, query.faces, query.interactions,
                _beginning(query.agents, str.lower), _beginning(query.addresses, str),
                query.entities, lows, highs, *(query.after or _NOWHERE), query.count,
            )  # fmt: skip
        return tuple(AuditRow(**{**row, "patients": tuple(row["patients"])}) for row in rows)

    @storage_call
    async def forget_audit(self, *, older_than: datetime) -> int:
        """See AuditStore."""
        async with self._connections.acquire() as connection:
            return int(await connection.fetchval(_SQL["forget_audit"], older_than))


def _columns(
    events: Sequence[tuple[datetime, int]] | None,
) -> tuple[list[datetime] | None, list[int] | None]:
    if events is None:
        return None, None
    return [at for at, _ in events], [event_id for _, event_id in events]


def _ranges(
    pairs: Sequence[tuple[int, int]] | None,
) -> tuple[list[int] | None, list[int] | None]:
    if pairs is None:
        return None, None
    return [low for low, _ in pairs], [high for _, high in pairs]


def _beginning(texts: Sequence[str] | None, form: Any) -> list[str] | None:
    """Patterns of LIKE for texts that begin so."""
    if texts is None:
        return None
    table = str.maketrans({"\\": r"\\", "%": r"\%", "_": r"\_"})
    return [form(text).translate(table) + "%" for text in texts]
