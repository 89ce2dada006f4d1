"""Passwords and bearer tokens against a register: right, wrong, guessed, revoked."""

import asyncio
from typing import cast
from uuid import UUID

import pytest
from argon2 import Parameters, Type, extract_parameters
from starlette.requests import HTTPConnection

from support.served_ward import quick_hash
from wardlight_cloud.security import passwords, tokens
from wardlight_cloud.security.access import Access, permission
from wardlight_cloud.store.authorization import TokenRow
from wardlight_cloud.store.logins import LoginStore

PASSWORD = "abcd-efgh-jkmn-pqrs"
HASH = quick_hash(PASSWORD)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Register:
    """The three calls that logging in needs."""

    def __init__(self) -> None:
        self.users: dict[str, str] = {"nurse": HASH}
        self.tokens: dict[bytes, TokenRow] = {}
        self.asked = 0

    async def password_hash(self, login: str) -> str | None:
        self.asked += 1
        return self.users.get(login)

    async def token(self, digest: bytes) -> TokenRow | None:
        self.asked += 1
        return self.tokens.get(digest)


def checker(register: Register, clock: Clock) -> passwords.PasswordChecker:
    return passwords.PasswordChecker(cast(LoginStore, register), clock=clock)


def bearing(*headers: str) -> HTTPConnection:
    pairs = [(b"authorization", header.encode()) for header in headers]
    return HTTPConnection({"type": "http", "headers": pairs})


def test_what_a_guess_costs() -> None:
    """64 MiB, three passes, four lanes (RFC 9106, 4): also where nobody has the login."""
    costs = Parameters(
        type=Type.ID, version=19, salt_len=16, hash_len=32,
        time_cost=3, memory_cost=64 * 1024, parallelism=4,
    )  # fmt: skip
    assert extract_parameters(passwords.hash_password(PASSWORD)) == costs
    assert extract_parameters(passwords._dummy()) == costs


async def test_login_and_password_must_belong_together() -> None:
    register = Register()
    register.users["nurse"] = passwords.hash_password(PASSWORD)
    check = checker(register, Clock()).check
    assert await check("nurse", PASSWORD)
    assert not await check("nurse", PASSWORD + " ")
    assert not await check("doctor", PASSWORD)
    assert not await check("nurse", "")


async def test_a_hash_that_is_none_lets_nobody_in() -> None:
    register = Register()
    register.users["odd"] = "plain text"
    assert not await checker(register, Clock()).check("odd", "plain text")


async def test_five_failures_make_a_login_wait_ever_longer() -> None:
    clock, register = Clock(), Register()
    checking = checker(register, clock)
    for _ in range(5):
        assert checking.wait_s("nurse") == 0
        await checking.check("nurse", "wrong")
    waits = []
    for _ in range(4):
        waits.append(checking.wait_s("nurse"))
        asked = register.asked
        assert not await checking.check("nurse", PASSWORD), "the right one waits too"
        assert register.asked == asked
        clock.now += waits[-1]
        await checking.check("nurse", "wrong")
    assert waits == [1, 2, 4, 8]
    assert checking.wait_s("other") == 0
    clock.now += 300
    assert await checking.check("nurse", PASSWORD)
    assert checking.wait_s("nurse") == 0


async def test_many_tries_at_once_are_many_tries() -> None:
    register = Register()
    checking = checker(register, Clock())
    answers = await asyncio.gather(*(checking.check("nurse", "wrong") for _ in range(20)))
    assert not any(answers)
    assert register.asked == 5


async def test_a_token_opens_for_its_client_only() -> None:
    register, token = Register(), tokens.new_token()
    register.tokens[tokens.token_hash(token)] = TokenRow("ehr", ("system/*.rs", "of no version"))
    authenticate = tokens.TokenAuthenticator(register).access
    for header in (f"Bearer {token}", f"bearer {token} "):
        found = await authenticate(bearing(header))
        assert found == Access("ehr", (permission("system/*.rs"),))
    for header in (f"Bearer {token}x", f"Basic {token}", "Bearer", "Bearer ", token, ""):
        with pytest.raises(PermissionError):
            await authenticate(bearing(header))
    with pytest.raises(PermissionError):
        await authenticate(bearing())


async def test_a_revoked_token_ends_within_five_seconds() -> None:
    clock, register, token = Clock(), Register(), tokens.new_token()
    digest = tokens.token_hash(token)
    register.tokens[digest] = TokenRow("ehr", ("system/*.rs",))
    authenticate = tokens.TokenAuthenticator(register, clock=clock).access
    await authenticate(bearing(f"Bearer {token}"))
    await authenticate(bearing(f"Bearer {token}"))
    assert register.asked == 1
    del register.tokens[digest]
    clock.now += 5
    with pytest.raises(PermissionError):
        await authenticate(bearing(f"Bearer {token}"))


async def test_a_token_that_expires_is_not_remembered_beyond_its_end() -> None:
    clock, register, token = Clock(), Register(), tokens.new_token()
    row = TokenRow("app", ("patient/*.rs",), "nurse", UUID(int=1), expires_in_s=2.0)
    register.tokens[tokens.token_hash(token)] = row
    authenticate = tokens.TokenAuthenticator(register, clock=clock).access
    found = await authenticate(bearing(f"Bearer {token}"))
    assert (found.user, found.patient) == ("nurse", UUID(int=1))
    register.tokens.clear()
    clock.now += 1.9
    await authenticate(bearing(f"Bearer {token}"))
    clock.now += 0.1
    with pytest.raises(PermissionError):
        await authenticate(bearing(f"Bearer {token}"))


async def test_unknown_tokens_do_not_fill_the_memory() -> None:
    authenticator = tokens.TokenAuthenticator(Register())
    for number in range(1500):
        with pytest.raises(PermissionError):
            await authenticator.access(bearing(f"Bearer wl_{number}"))
    assert len(authenticator._known) <= 1024


def test_made_secrets_are_long_and_different() -> None:
    assert len({tokens.new_token() for _ in range(100)}) == 100
    assert len(tokens.new_token()) >= 43
    made = {passwords.new_password() for _ in range(100)}
    assert len(made) == 100
    assert all(len(each.replace("-", "")) == 16 for each in made)
    assert tokens.new_token().encode() not in tokens.token_hash(tokens.new_token())
