"""Session cookies: random, kept as a hash, ended for every worker."""

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import HTTPConnection
from starlette.responses import Response

from wardlight_cloud.security.sessions import COOKIE, LIFETIME_S, REMEMBER_S, Sessions

HASH = "$argon2id$the-stored-one"


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class MemorySessions:
    """A LoginStore in memory; users are none of its business."""

    def __init__(self) -> None:
        self.logins: dict[bytes, str] = {}
        self.lifetime_s = 0
        self.asked = 0

    async def put_user(self, login: str, password_hash: str) -> None:
        raise AssertionError

    async def remove_user(self, login: str) -> bool:
        raise AssertionError

    async def password_hash(self, login: str) -> str | None:
        raise AssertionError

    async def start_session(
        self, token_sha256: bytes, login: str, password_hash: str, *, lifetime_s: int
    ) -> bool:
        if password_hash != HASH:
            return False
        self.logins[token_sha256] = login
        self.lifetime_s = lifetime_s
        return True

    async def session_login(self, token_sha256: bytes) -> str | None:
        self.asked += 1
        return self.logins.get(token_sha256)

    async def end_session(self, token_sha256: bytes) -> None:
        self.logins.pop(token_sha256, None)


def showing(cookie: str = "") -> HTTPConnection:
    header = f"{COOKIE}={cookie}".encode("latin-1")
    return HTTPConnection({"type": "http", "headers": [(b"cookie", header)]})


async def started(sessions: Sessions, request: HTTPConnection | None = None) -> str:
    response = Response()
    assert await sessions.start(request or showing(), response, "nurse", HASH)
    return response.headers["set-cookie"].partition(";")[0].removeprefix(f"{COOKIE}=")


async def test_every_worker_knows_the_session_and_its_end() -> None:
    store = MemorySessions()
    clock = Clock()
    one, two = (Sessions(store, secure=True, clock=clock) for _ in range(2))
    cookie = await started(one)
    assert await two.login(showing(cookie)) == "nurse"
    assert store.lifetime_s == LIFETIME_S == 12 * 3600
    await one.end(showing(cookie), Response())
    assert await one.login(showing(cookie)) is None
    clock.now += REMEMBER_S
    assert await two.login(showing(cookie)) is None


async def test_the_database_is_asked_every_five_seconds_only() -> None:
    store, clock = MemorySessions(), Clock()
    sessions = Sessions(store, secure=True, clock=clock)
    cookie = await started(sessions)
    for _ in range(10):
        assert await sessions.login(showing(cookie)) == "nurse"
    assert store.asked == 1
    clock.now += REMEMBER_S
    await sessions.login(showing(cookie))
    assert store.asked == 2


async def test_the_store_holds_no_cookie() -> None:
    store = MemorySessions()
    cookie = await started(Sessions(store, secure=True))
    assert list(store.logins) == [hashlib.sha256(cookie.encode()).digest()]
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", cookie)


async def test_each_sign_in_makes_a_new_session_and_ends_the_one_shown() -> None:
    """A cookie planted in a browser beforehand opens nothing afterwards."""
    store = MemorySessions()
    sessions = Sessions(store, secure=True)
    planted = await started(sessions)
    own = await started(sessions, showing(planted))
    assert own != planted
    assert await sessions.login(showing(planted)) is None
    assert await sessions.login(showing(own)) == "nurse"


async def test_a_password_changed_meanwhile_starts_no_session() -> None:
    response = Response()
    sessions = Sessions(MemorySessions(), secure=True)
    assert not await sessions.start(showing(), response, "nurse", "$argon2id$the-old-one")
    assert "set-cookie" not in response.headers


@pytest.mark.parametrize("secure", [True, False])
async def test_cookie_attributes(secure: bool) -> None:
    sessions = Sessions(MemorySessions(), secure=secure)
    made, ended = Response(), Response()
    await sessions.start(showing(), made, "nurse", HASH)
    await sessions.end(showing(), ended)
    for response in (made, ended):
        parts = {part.strip().lower() for part in response.headers["set-cookie"].split(";")[1:]}
        assert {"httponly", "samesite=strict", "path=/"} <= parts
        assert ("secure" in parts) == secure


@given(st.text(alphabet=st.characters(max_codepoint=255), max_size=200))
async def test_no_text_is_a_session(text: str) -> None:
    assert await Sessions(MemorySessions(), secure=False).login(showing(text)) is None


async def test_unknown_cookies_do_not_fill_the_memory() -> None:
    store = MemorySessions()
    sessions = Sessions(store, secure=True)
    for number in range(1500):
        await sessions.login(showing(f"{number:043d}"))
        await sessions.login(showing(await started(sessions)))
    assert len(sessions._known) <= 1024
