"""The bytes between a probe and a server. Vectors: PostgreSQL documentation, 54.7."""

import socket
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardlight_cloud.store.embedded.probe import Answer, answer_in, probe, startup_message

# Written by hand from 54.7 "Message Formats".
AUTHENTICATION_OK = b"R" + b"\x00\x00\x00\x08" + b"\x00\x00\x00\x00"
PARAMETER_STATUS = b"S" + b"\x00\x00\x00\x11" + b"TimeZone\x00UTC\x00"
READY_FOR_QUERY = b"Z" + b"\x00\x00\x00\x05" + b"I"
STARTING_UP = b"SFATAL\x00VFATAL\x00C57P03\x00Mthe database system is starting up\x00\x00"
NO_SUCH_DATABASE = b'SFATAL\x00C3D000\x00Mdatabase "x" does not exist\x00\x00'


def error(fields: bytes) -> bytes:
    return b"E" + (len(fields) + 4).to_bytes(4, "big") + fields


def test_startup_message_is_that_of_the_protocol() -> None:
    length, version = b"\x00\x00\x00\x1c", b"\x00\x03\x00\x00"
    pairs = b"user\x00me\x00" + b"database\x00d\x00"
    assert startup_message("me", "d") == length + version + pairs + b"\x00"


@pytest.mark.parametrize(
    ("received", "answer"),
    [
        (AUTHENTICATION_OK + PARAMETER_STATUS + READY_FOR_QUERY, Answer.SERVING),
        (error(STARTING_UP), Answer.STARTING),
        (error(NO_SUCH_DATABASE), Answer.SERVING),
        (AUTHENTICATION_OK + PARAMETER_STATUS, None),
        (b"", None),
        (b"H", None),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", Answer.ABSENT),
        (b"Z\x00\x00\x00\x03", Answer.ABSENT),
    ],
)
def test_answer_in(received: bytes, answer: Answer | None) -> None:
    assert answer_in(received) is answer


@given(st.integers(min_value=0, max_value=200))
def test_an_answer_cut_short_is_no_answer(cut: int) -> None:
    whole = AUTHENTICATION_OK + PARAMETER_STATUS + error(STARTING_UP)
    expected = Answer.STARTING if cut >= len(whole) else None
    assert answer_in(whole[:cut]) is expected


@given(st.binary(max_size=400))
def test_any_bytes_end_in_an_answer_or_none(data: bytes) -> None:
    assert answer_in(data) in {None, *Answer}


def test_no_socket_is_absent(tmp_path: Path) -> None:
    assert probe(tmp_path / "none", "me", "d") is Answer.ABSENT


def test_a_peer_that_hangs_up_is_absent(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=lambda: listener.accept()[0].close())
        thread.start()
        assert probe(path, "me", "d") is Answer.ABSENT
        thread.join()


def test_a_silent_peer_is_absent_after_the_timeout(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()
        assert probe(path, "me", "d", timeout_s=0.05) is Answer.ABSENT
