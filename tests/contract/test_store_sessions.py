"""Sessions of dashboard users end for all, at once and for good; on every engine."""

import asyncio

import pytest

from support.store import Place
from wardlight_cloud.store.postgres import PostgresStore

pytestmark = pytest.mark.either_engine

ONE, TWO, THREE = (bytes([number] * 32) for number in (1, 2, 3))
HOUR_S = 3600


async def _start(store: PostgresStore, token: bytes, login: str, password_hash: str) -> bool:
    return await store.start_session(token, login, password_hash, lifetime_s=HOUR_S)


async def test_a_session_lives_until_it_is_ended(store: PostgresStore) -> None:
    await store.put_user("nurse", "hash-1")
    assert await _start(store, ONE, "nurse", "hash-1")
    assert await store.session_login(ONE) == "nurse"
    assert await store.session_login(TWO) is None
    await store.end_session(ONE)
    await store.end_session(ONE)
    assert await store.session_login(ONE) is None


async def test_a_new_password_ends_all_sessions_of_this_user_only(store: PostgresStore) -> None:
    for login in ("nurse", "doctor"):
        await store.put_user(login, "hash-1")
    for token, login in ((ONE, "nurse"), (TWO, "nurse"), (THREE, "doctor")):
        await _start(store, token, login, "hash-1")
    await store.put_user("nurse", "hash-2")
    assert await store.session_login(ONE) is None
    assert await store.session_login(TWO) is None
    assert await store.session_login(THREE) == "doctor"


async def test_a_user_who_is_removed_takes_sessions_and_password_along(
    store: PostgresStore,
) -> None:
    for login, token in (("nurse", ONE), ("doctor", TWO)):
        await store.put_user(login, "hash-1")
        await _start(store, token, login, "hash-1")
    assert await store.remove_user("nurse")
    assert not await store.remove_user("nurse")
    assert await store.session_login(ONE) is None
    assert await store.password_hash("nurse") is None
    assert not await _start(store, THREE, "nurse", "hash-1")
    assert await store.session_login(TWO) == "doctor"


async def test_a_sign_in_that_was_checked_before_the_change_starts_nothing(
    store: PostgresStore,
) -> None:
    await store.put_user("nurse", "hash-1")
    verified = await store.password_hash("nurse")
    assert verified == "hash-1"
    await store.put_user("nurse", "hash-2")
    assert not await _start(store, ONE, "nurse", verified)
    assert not await _start(store, ONE, "nobody", "hash-1")
    assert await store.session_login(ONE) is None


async def test_a_session_ends_by_itself_and_is_forgotten(
    place: Place, store: PostgresStore
) -> None:
    await store.put_user("nurse", "hash-1")
    await store.start_session(ONE, "nurse", "hash-1", lifetime_s=0)
    assert await store.session_login(ONE) is None
    await _start(store, TWO, "nurse", "hash-1")
    rows = await place.execute("SELECT token_sha256 FROM app_session")
    assert [row["token_sha256"] for row in rows] == [TWO]


async def test_no_session_survives_a_change_that_happens_meanwhile(native_place: Place) -> None:
    """Sign-ins and a new password at once: afterwards only sessions of the new password."""
    one, two = await native_place.open(), await native_place.open()
    for number in range(20):
        old, new = f"hash-{number}", f"hash-{number + 1}"
        await one.put_user("nurse", old)
        tokens = [bytes([number, n] * 16) for n in range(4)]
        async with asyncio.timeout(180):
            await asyncio.gather(
                *(_start(one, token, "nurse", old) for token in tokens),
                two.put_user("nurse", new),
            )
        assert [await one.session_login(token) for token in tokens] == [None] * 4
