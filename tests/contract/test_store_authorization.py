"""Grants, codes and tokens: what serves once serves once, also for many at a time."""

import asyncio
from uuid import UUID, uuid4

import pytest

from support.store import Place, patient
from wardlight_cloud.store.authorization import ClientRow, Grant, Launch, NewTokens, TokenRow
from wardlight_cloud.store.postgres import PostgresStore

pytestmark = pytest.mark.either_engine

APP = ClientRow("app", ("patient/*.rs", "offline_access"), is_public=True)
SCOPES = ("patient/*.rs", "offline_access")
BACK, CHALLENGE = "https://app.example/back", "challenge"


def digest(number: int) -> bytes:
    """A hash of something that was shown."""
    return number.to_bytes(32, "big")


def tokens(number: int) -> NewTokens:
    """Tokens ``number`` (access) and ``number + 1000`` (refresh)."""
    return NewTokens(digest(number), 60, digest(number + 1000), 600)


async def coded(store: PostgresStore, *, scopes: tuple[str, ...] = SCOPES) -> Grant:
    """A grant with the code 1."""
    await store.put_registration(APP)
    await store.put_user("nurse", "hash")
    made = await store.put_patient(patient())
    grant = Grant("app", scopes, "nurse", made.patient_id, "nonce")
    assert await store.grant_code(
        grant, digest(1), redirect_uri=BACK, challenge=CHALLENGE, lasts_s=60
    )
    return grant


async def redeem(store: PostgresStore, number: int, client: str = "app") -> Grant | None:
    """Exchange the code 1."""
    return await store.redeem_code(
        client, digest(1), redirect_uri=BACK, challenge=CHALLENGE, tokens=tokens(number)
    )


async def test_a_client_is_kept_as_it_was_registered(store: PostgresStore) -> None:
    whole = ClientRow(
        "whole", ("system/*.rs",), '{"keys": []}', None, (BACK,), "https://app.example/launch",
        is_public=False, may_introspect=True,
    )  # fmt: skip
    for row in (whole, APP):
        await store.put_registration(row)
        assert await store.client(row.name) == row
    assert await store.clients() == (APP, whole)
    await store.put_client("whole", digest(5), ("system/*.rs",))
    assert (await store.clients())[1].has_token
    assert await store.token(digest(5)) == TokenRow("whole", ("system/*.rs",))
    await store.put_registration(whole)
    assert await store.token(digest(5)) is None, "a new registration ends the token"
    assert await store.client("nobody") is None


async def test_a_code_gives_tokens_once_for_many_at_a_time(store: PostgresStore) -> None:
    grant = await coded(store)
    found = await asyncio.gather(*(redeem(store, 100 + number) for number in range(8)))
    assert found.count(grant) == 1 and found.count(None) == 7
    for number in range(8):
        assert await store.token(digest(100 + number)) is None, "the second use ended the family"


async def test_a_refresh_gives_tokens_once_for_many_at_a_time(store: PostgresStore) -> None:
    grant = await coded(store)
    assert await redeem(store, 2) == grant
    row = await store.token(digest(2))
    assert row is not None and row.expires_in_s is not None and 0 < row.expires_in_s <= 60
    assert (row.client, row.scopes, row.login) == ("app", SCOPES, "nurse")
    assert row.patient == grant.patient
    assert await store.token(digest(1002)) is None, "a refresh token opens nothing"
    found = await asyncio.gather(
        *(store.refresh("app", digest(1002), tokens(200 + number)) for number in range(8))
    )
    assert found.count(grant) == 1 and found.count(None) == 7
    assert await store.token(digest(2)) is None


async def test_a_refresh_token_says_whose_it_is(store: PostgresStore) -> None:
    await coded(store)
    await redeem(store, 2)
    assert await store.client_of_refresh(digest(1002)) == "app"
    assert await store.client_of_refresh(digest(2)) is None, "an access token"
    await store.refresh("app", digest(1002), tokens(3))
    assert await store.client_of_refresh(digest(1002)) == "app", "it was, and its use is a theft"
    await store.refresh("app", digest(1002), tokens(4))
    assert await store.client_of_refresh(digest(1003)) is None, "the grant has ended"


async def test_no_refresh_token_without_its_scope(store: PostgresStore) -> None:
    await coded(store, scopes=("patient/*.rs",))
    assert await redeem(store, 2) is not None
    assert await store.refresh("app", digest(1002), tokens(3)) is None
    assert await store.token(digest(2)) is not None


async def test_an_assertion_is_used_once_for_many_at_a_time(store: PostgresStore) -> None:
    found = await asyncio.gather(
        *(store.use_assertion("app", digest(1), lasts_s=60) for _ in range(8))
    )
    assert sum(found) == 1
    assert await store.use_assertion("other", digest(1), lasts_s=60), "ids are of a client"


async def test_a_grant_ends_with_client_user_and_patient(
    store: PostgresStore, place: Place
) -> None:
    for end in ("client", "user", "registration"):
        await coded(store)
        assert await redeem(store, 2) is not None
        if end == "client":
            assert await store.remove_client("app")
        elif end == "user":
            assert await store.remove_user("nurse")
        else:
            await store.put_registration(APP)
        assert await store.token(digest(2)) is None, end
        assert not await place.execute("SELECT FROM access_grant"), end
        assert not await place.execute("SELECT FROM grant_token"), end
        assert not await place.execute("SELECT FROM grant_code"), end


async def test_what_a_session_granted_ends_with_it(store: PostgresStore, place: Place) -> None:
    await store.put_registration(APP)
    await store.put_user("nurse", "hash")
    for way in ("signed out", "ran out"):
        assert await store.start_session(digest(9), "nurse", "hash", lifetime_s=60)
        grant = Grant("app", ("user/*.rs", "online_access"), "nurse", session_sha256=digest(9))
        await store.grant(grant, tokens(2))
        assert await store.token(digest(2)) is not None
        if way == "signed out":
            await store.end_session(digest(9))
        else:
            await place.execute("UPDATE app_session SET until = now()")
        assert await store.token(digest(2)) is None
        assert await store.refresh("app", digest(1002), tokens(3)) is None
        assert await store.introspect(digest(2)) is None
    assert not await store.grant_code(
        Grant("app", SCOPES, "nobody"), digest(7), redirect_uri="", challenge="", lasts_s=60
    )


async def test_what_has_ended_is_removed(store: PostgresStore, place: Place) -> None:
    await coded(store)
    await redeem(store, 2)
    await store.use_assertion("app", digest(1), lasts_s=0)
    await place.execute("UPDATE access_grant SET until = now() - interval '1 second'")
    await store.put_launch(digest(3), Launch("app", await _patient(store), None), lasts_s=0)
    await store.grant(Grant("app", SCOPES), tokens(4))
    await store.use_assertion("app", digest(2), lasts_s=60)
    launched = Launch("app", await _patient(store), "nurse")
    assert await store.put_launch(digest(4), launched, lasts_s=60)
    for table, kept in (
        ("access_grant", 1), ("grant_token", 2), ("grant_code", 0), ("client_assertion", 1),
        ("launch_context", 1),
    ):  # fmt: skip
        [row] = await place.execute(f"SELECT count(*) FROM {table}")
        assert row["count"] == kept, table
    assert await store.launch(digest(4)) == launched
    assert await store.use_launch(digest(4))
    assert not await store.use_launch(digest(4))
    assert not await store.put_launch(digest(5), Launch("app", uuid4(), None), lasts_s=60)


async def _patient(store: PostgresStore) -> UUID:
    return (await store.put_patient(patient())).patient_id


async def test_the_secret_for_signing_stays(store: PostgresStore) -> None:
    first = await store.signing_secret()
    assert len(first) == 56
    assert await store.signing_secret() == first
