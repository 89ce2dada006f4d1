"""Session cookies: signed, short-lived, the same for every worker; the key file is private."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import HTTPConnection
from starlette.responses import Response

from wardlight_cloud.security.sessions import COOKIE, Sessions, session_key
from wardlight_shared.errors import ConfigError

KEY = bytes(range(32))


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def showing(cookie: str) -> HTTPConnection:
    header = f"{COOKIE}={cookie}".encode("latin-1")
    return HTTPConnection({"type": "http", "headers": [(b"cookie", header)]})


def started(sessions: Sessions, login: str = "nurse") -> str:
    response = Response()
    sessions.start(response, login)
    return response.headers["set-cookie"].partition(";")[0].removeprefix(f"{COOKIE}=").strip('"')


def test_every_worker_with_the_key_knows_the_session() -> None:
    cookie = started(Sessions(KEY, secure=True))
    assert Sessions(KEY, secure=True).login(showing(cookie)) == "nurse"
    assert Sessions(os.urandom(32), secure=True).login(showing(cookie)) is None


def test_a_session_ends_after_twelve_hours() -> None:
    clock = Clock()
    sessions = Sessions(KEY, secure=False, clock=clock)
    cookie = started(sessions)
    clock.now += 12 * 3600 - 1
    assert sessions.login(showing(cookie)) == "nurse"
    clock.now += 1
    assert sessions.login(showing(cookie)) is None


@pytest.mark.parametrize("secure", [True, False])
def test_cookie_attributes(secure: bool) -> None:
    response = Response()
    Sessions(KEY, secure=secure).start(response, "nurse")
    attributes = {part.strip().lower() for part in response.headers["set-cookie"].split(";")[1:]}
    assert {"httponly", "samesite=strict", "path=/"} <= attributes
    assert ("secure" in attributes) == secure


@given(st.text(alphabet=st.characters(max_codepoint=255), max_size=200))
def test_no_text_is_a_session(text: str) -> None:
    assert Sessions(KEY, secure=False).login(showing(text)) is None


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_no_changed_character_is_a_session(place: int, change: int) -> None:
    sessions = Sessions(KEY, secure=False)
    cookie = started(sessions).encode()
    place %= len(cookie)
    changed = bytearray(cookie)
    changed[place] ^= change
    if changed[place] in b';, \t"\\':
        return  # the header's own characters: another cookie, not a changed one
    assert sessions.login(showing(changed.decode("latin-1"))) is None


def test_key_is_made_once_and_for_this_account_only(tmp_path: Path) -> None:
    file = tmp_path / "data" / "session.key"
    with ThreadPoolExecutor(8) as workers:
        keys = set(workers.map(lambda _: session_key(file), range(8)))
    assert len(keys) == 1
    assert file.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in file.parent.iterdir()] == ["session.key"]


def test_a_damaged_key_says_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "session.key"
    file.write_bytes(b"short")
    file.chmod(0o600)
    with pytest.raises(ConfigError, match="delete the file"):
        session_key(file)


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "session.key"
    file.write_bytes(KEY)
    file.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        session_key(file)
