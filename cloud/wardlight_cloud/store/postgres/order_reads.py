"""OrderReadStore: searches of orders."""

from collections.abc import Sequence
from typing import Any, Final

from wardlight_cloud.store.order_reads import OrderQuery, OrderRow, OrderStatus
from wardlight_cloud.store.postgres.errors import storage_call
from wardlight_cloud.store.postgres.part import Part
from wardlight_cloud.store.postgres.statements import statements

_SQL: Final = statements("order_reads")


class OrderReadsPart(Part):
    """See OrderReadStore."""

    @storage_call
    async def orders(self, query: OrderQuery) -> Sequence[OrderRow]:
        """See OrderReadStore."""
        async with self._connections.acquire() as connection:
            name = "orders_by_change" if query.by_change else "orders"
            place = (query.after_change,) if query.by_change else ()
            rows = await connection.fetch(
                _SQL[name], *_arguments(query), query.after, query.limit, *place
            )
        return [
            OrderRow(
                row["accession"], row["patient_id"], OrderStatus(row["status"]),
                tuple(row["modalities"]), row["starts"], row["made_at"], row["changed_at"],
            )
            for row in rows
        ]  # fmt: skip

    @storage_call
    async def order_count(self, query: OrderQuery) -> int:
        """See OrderReadStore."""
        async with self._connections.acquire() as connection:
            return int(await connection.fetchval(_SQL["order_count"], *_arguments(query)))


def _arguments(query: OrderQuery) -> tuple[Any, ...]:
    return (
        query.patients, query.accessions, query.statuses, query.changed_from, query.changed_before,
    )  # fmt: skip
