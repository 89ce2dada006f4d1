"""ForwardingStore: nodes, rules, and items with their results."""

from collections.abc import Collection, Sequence
from typing import Any, Final

import asyncpg

from wardlight_cloud.store.forwarding import (
    DeadItem,
    DicomNode,
    ForwardItem,
    ForwardRule,
    ForwardStatus,
    ForwardTarget,
)
from wardlight_cloud.store.postgres.errors import storage_call
from wardlight_cloud.store.postgres.part import Part
from wardlight_cloud.store.postgres.statements import statements
from wardlight_shared.errors import StorageError

_SQL: Final = statements("forwarding")


class ForwardingPart(Part):
    """See ForwardingStore."""

    @storage_call
    async def put_node(self, node: DicomNode) -> None:
        """See ForwardingStore."""
        async with self._connections.acquire() as connection:
            await connection.execute(
                _SQL["put_node"], node.ae_title, node.host, node.port, list(node.networks),
                node.tls, node.fingerprint, list(node.rights),
            )  # fmt: skip

    @storage_call
    async def remove_node(self, ae_title: str) -> bool:
        """See ForwardingStore."""
        async with self._connections.acquire() as connection:
            try:
                return await connection.fetchval(_SQL["remove_node"], ae_title) is not None
            except asyncpg.ForeignKeyViolationError:
                raise StorageError(
                    f"{ae_title}: a forwarding rule sends to it; remove the rule first"
                ) from None

    @storage_call
    async def nodes(self) -> tuple[DicomNode, ...]:
        """See ForwardingStore."""
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(_SQL["nodes"])
        return tuple(_node(row) for row in rows)

    @storage_call
    async def put_rule(self, rule: ForwardRule, *, from_beginning: bool = False) -> None:
        """See ForwardingStore."""
        target = rule.target
        async with self._connections.acquire() as connection:
            try:
                await connection.execute(
                    _SQL["put_rule"], rule.name, rule.kind, rule.value, target.ae_title,
                    target.url, target.token_env, target.token_file, rule.give_up_days,
                    from_beginning,
                )  # fmt: skip
            except asyncpg.UniqueViolationError:
                raise StorageError(f"there is a rule {rule.name} already; remove it") from None
            except asyncpg.ForeignKeyViolationError:
                raise StorageError(f"there is no node {target.ae_title}; add it first") from None

    @storage_call
    async def remove_rule(self, name: str) -> bool:
        """See ForwardingStore."""
        async with self._connections.acquire() as connection:
            return await connection.fetchval(_SQL["remove_rule"], name) is not None

    @storage_call
    async def rules(self) -> tuple[ForwardRule, ...]:
        """See ForwardingStore."""
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(_SQL["rules"])
        return tuple(_rule(row) for row in rows)

    @storage_call
    async def named_by(self, rule: ForwardRule) -> tuple[int, int]:
        """See ForwardingStore."""
        async with self._connections.acquire() as connection:
            row = await connection.fetchrow(_SQL["named_by"], rule.kind, rule.value)
        assert row is not None  # noqa: S101 - an aggregate has one row
        return row["studies"], row["instances"]

    @storage_call
    async def forward_new(self, *, studies: int) -> bool:
        """See ForwardingStore."""
        is_more = False
        async with self._connections.transaction() as connection:
            for rule in await connection.fetch(_SQL["lock_rules"]):
                place = await connection.fetchrow(_SQL["expand_until"], rule["commit_seq"], studies)
                if place is None or place["until"] <= rule["commit_seq"]:
                    continue
                await connection.execute(_SQL["add_items"], rule["rule_id"], place["until"])
                await connection.execute(_SQL["move_rule"], rule["rule_id"], place["until"])
                is_more |= place["is_more"]
        return is_more

    @storage_call
    async def take_items(
        self, *, count: int, lease_s: float, but_for: Collection[ForwardTarget] = ()
    ) -> tuple[ForwardItem, ...]:
        """See ForwardingStore."""
        ae_titles = [each.ae_title for each in but_for if each.ae_title is not None]
        urls = [each.url for each in but_for if each.url is not None]
        async with self._connections.transaction() as connection:
            await connection.execute(_SQL["withdraw_items"])
            rows = await connection.fetch(_SQL["take_items"], count, lease_s, ae_titles, urls)
        return tuple(
            ForwardItem(
                row["item_id"], row["name"], _target(row), row["study_uid"], row["sop_uid"],
                row["sha256"], row["attempts"], row["since"],
            )
            for row in rows
        )  # fmt: skip

    @storage_call
    async def renew_items(self, item_ids: Sequence[int], *, lease_s: float) -> None:
        """See ForwardingStore."""
        async with self._connections.acquire() as connection:
            await connection.execute(_SQL["renew_items"], list(item_ids), lease_s)

    @storage_call
    async def settle_sent(self, item_ids: Sequence[int]) -> None:
        """See ForwardingStore."""
        async with self._connections.acquire() as connection:
            await connection.execute(_SQL["settle_sent"], list(item_ids))

    @storage_call
    async def settle_failed(
        self,
        item_ids: Sequence[int],
        reason: str,
        *,
        again_in_s: float | None,
        was_tried: bool = True,
    ) -> None:
        """See ForwardingStore."""
        async with self._connections.acquire() as connection:
            await connection.execute(
                _SQL["settle_failed"], list(item_ids), reason, again_in_s, was_tried
            )

    @storage_call
    async def forward_status(self) -> tuple[ForwardStatus, ...]:
        """See ForwardingStore."""
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(_SQL["forward_status"])
        return tuple(
            ForwardStatus(
                _rule(row), row["waiting"], row["sent"], row["dead"], row["oldest"], row["reason"]
            )
            for row in rows
        )

    @storage_call
    async def dead_items(self, *, count: int = 100) -> tuple[DeadItem, ...]:
        """See ForwardingStore."""
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(_SQL["dead_items"], count)
        return tuple(
            DeadItem(
                row["item_id"], row["name"], row["sop_uid"], row["attempts"], row["since"],
                row["reason"],
            )
            for row in rows
        )  # fmt: skip

    @storage_call
    async def retry_dead(self, rule: str | None = None) -> int:
        """See ForwardingStore."""
        async with self._connections.acquire() as connection:
            return int(await connection.fetchval(_SQL["retry_dead"], rule))


def _node(row: Any) -> DicomNode:
    return DicomNode(
        row["ae_title"], row["host"], row["port"], tuple(row["networks"]), row["tls"],
        row["fingerprint"], tuple(row["rights"]),
    )  # fmt: skip


def _target(row: Any) -> ForwardTarget:
    return ForwardTarget(row["ae_title"], row["url"], row["token_env"], row["token_file"])


def _rule(row: Any) -> ForwardRule:
    return ForwardRule(row["name"], row["kind"], row["value"], _target(row), row["give_up_days"])
