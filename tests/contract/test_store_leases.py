"""LeaseStore: shards are shared evenly and change hands by the database's clock; every engine."""

import pytest

from support.store import Place
from wardlight_cloud.store.postgres import PostgresStore

pytestmark = pytest.mark.either_engine

SHARDS = 16
LONG_S = 600.0


async def _expire(place: Place, holder: str) -> None:
    """As if ``holder`` had been silent for its whole time; the database's clock decides."""
    for table in ("lease_holder", "shard_lease"):
        await place.execute(
            f"UPDATE {table} SET expires_at = clock_timestamp() WHERE holder = $1", holder
        )


async def test_one_collector_has_all(store: PostgresStore) -> None:
    assert await store.renew("a", shards=SHARDS, ttl_s=LONG_S) == frozenset(range(SHARDS))
    assert await store.renew("a", shards=SHARDS, ttl_s=LONG_S) == frozenset(range(SHARDS))


async def test_a_newcomer_gets_its_half_once_the_other_has_given_it_up(
    store: PostgresStore,
) -> None:
    await store.renew("a", shards=SHARDS, ttl_s=LONG_S)
    assert await store.renew("b", shards=SHARDS, ttl_s=LONG_S) == frozenset()
    a = await store.renew("a", shards=SHARDS, ttl_s=LONG_S)
    b = await store.renew("b", shards=SHARDS, ttl_s=LONG_S)
    assert (len(a), len(b)) == (8, 8)
    assert a | b == frozenset(range(SHARDS))
    assert await store.renew("a", shards=SHARDS, ttl_s=LONG_S) == a


async def test_a_silent_collector_loses_its_shards(place: Place, store: PostgresStore) -> None:
    for _ in range(2):
        for name in ("a", "b"):
            await store.renew(name, shards=SHARDS, ttl_s=LONG_S)
    await _expire(place, "a")
    assert await store.renew("b", shards=SHARDS, ttl_s=LONG_S) == frozenset(range(SHARDS))
    # It comes back and must not go on with what it had.
    assert await store.renew("a", shards=SHARDS, ttl_s=LONG_S) == frozenset()


async def test_a_collector_that_stops_gives_up_at_once(store: PostgresStore) -> None:
    for _ in range(2):
        for name in ("a", "b"):
            await store.renew(name, shards=SHARDS, ttl_s=LONG_S)
    await store.release("a")
    assert await store.renew("b", shards=SHARDS, ttl_s=LONG_S) == frozenset(range(SHARDS))
    await store.release("nobody")


async def test_more_collectors_than_shards(store: PostgresStore) -> None:
    names = ["a", "b", "c"]
    for _ in range(3):
        held = [await store.renew(name, shards=2, ttl_s=LONG_S) for name in names]
    assert [len(shards) for shards in held] == [1, 1, 0]


async def test_fewer_shards_than_before(place: Place, store: PostgresStore) -> None:
    await store.renew("a", shards=SHARDS, ttl_s=LONG_S)
    assert await store.renew("a", shards=4, ttl_s=LONG_S) == frozenset(range(4))
    assert len(await place.execute("SELECT 1 FROM shard_lease")) == 4
