"""LeaseStore: shards of collectors, shared evenly, by the database's clock."""

from collections.abc import Mapping, Sequence
from typing import Final

from wardlight_cloud.store.postgres.errors import storage_call
from wardlight_cloud.store.postgres.part import Part
from wardlight_cloud.store.postgres.statements import statements

_SQL: Final = statements("leases")


class LeasesPart(Part):
    """See LeaseStore."""

    @storage_call
    async def renew(self, holder: str, *, shards: int, ttl_s: float) -> frozenset[int]:
        """See LeaseStore."""
        async with self._connections.transaction() as connection:
            await connection.fetch(_SQL["lock_leases"])
            await connection.execute(_SQL["note_holder"], holder, ttl_s)
            await connection.execute(_SQL["forget_holders"])
            holders = [row["holder"] for row in await connection.fetch(_SQL["holders"])]
            rows = await connection.fetch(_SQL["live_leases"])
            leases = {row["shard"]: row["holder"] for row in rows}
            held = share(holder, holders, leases, shards)
            await connection.execute(_SQL["give_up"], holder, held)
            await connection.execute(_SQL["hold"], holder, held, ttl_s)
        return frozenset(held)

    @storage_call
    async def release(self, holder: str) -> None:
        """See LeaseStore."""
        async with self._connections.transaction() as connection:
            await connection.fetch(_SQL["lock_leases"])
            await connection.execute(_SQL["forget_holder"], holder)
            await connection.execute(_SQL["give_up"], holder, [])


def share(holder: str, holders: Sequence[str], leases: Mapping[int, str], shards: int) -> list[int]:
    """The shards that ``holder`` keeps or takes now, ascending.

    Its part is shards / holders, rounded up for the first ones. It keeps what it has up to that
    part, and takes only what nobody holds: a shard changes hands by being given up first.
    """
    place = sorted(holders).index(holder)
    part, rest = divmod(shards, len(holders))
    quota = part + (1 if place < rest else 0)
    mine = [shard for shard in range(shards) if leases.get(shard) == holder]
    free = [shard for shard in range(shards) if shard not in leases]
    kept = mine[:quota]
    return sorted(kept + free[: quota - len(kept)])
