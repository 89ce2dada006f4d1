"""Keys by address, from real servers on this machine that behave and that do not."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path

import pytest

from support.smart_clients import KeyPair, jwks
from wardlight_cloud.smart.client_keys import AGAIN_S, REMEMBER_S, ClientKeys
from wardlight_cloud.smart.key_fetching import (
    BadAddressError,
    KeyFetcher,
    KeysUnavailableError,
    check_address,
)
from wardlight_cloud.smart.keys import JWKS_BYTES_MAX, BadKeysError, SigningKey, public_keys
from wardlight_cloud.store.authorization import ClientRow

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def answering(answer: Answer, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server that lets ``answer`` talk to each connection; gives its port."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await answer(reader, writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


def saying(body: bytes, head: bytes = b"HTTP/1.1 200 OK\r\n") -> Answer:
    """An answer that is always the same."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)

    return answer


async def test_keys_come_from_this_machine() -> None:
    async with answering(saying(b'{"keys": []}')) as port:
        assert await KeyFetcher().fetch(f"http://127.0.0.1:{port}/jwks") == b'{"keys": []}'
        assert await KeyFetcher().fetch(f"http://localhost:{port}/jwks?a=b") == b'{"keys": []}'


async def _endless(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"1000\r\n" + b" " * 0x1000 + b"\r\n")
        await writer.drain()


async def _endless_head(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while not writer.is_closing():
        writer.write(b"X-More: " + b"x" * 0x1000 + b"\r\n")
        await writer.drain()


async def _dripping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while not writer.is_closing():
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


async def _silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def _hanging_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{")


async def _hinting(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 3)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (_endless, f"more than {JWKS_BYTES_MAX}"),
        (_endless_head, "cannot be had"),
        (_dripping, "within"),
        (_silent, "within"),
        (saying(b"{}", b"HTTP/1.1 302 Found\r\nLocation: http://localhost/\r\n"), "elsewhere"),
        (saying(b"{}", b"HTTP/1.1 500 Oops\r\n"), "500"),
        (saying(b"{}", b"SSH-2.0-OpenSSH\r\n"), "cannot be had"),
        (saying(b" " * (JWKS_BYTES_MAX + 1)), f"more than {JWKS_BYTES_MAX}"),
        (_hanging_up, "cannot be had"),
        (_hinting, "cannot be had"),
    ],
    ids=[
        "endless", "endless head", "dripping", "silent", "redirect", "500", "no HTTP", "huge",
        "hanging up", "hints only",
    ],
)  # fmt: skip
async def test_answers_that_are_none(answer: Answer, words: str) -> None:
    async with answering(answer) as port:
        with pytest.raises(KeysUnavailableError, match=words):
            await KeyFetcher(within_s=1.0).fetch(f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize(
    "host",
    [
        "10.0.0.1", "192.168.1.1", "169.254.169.254", "[fe80::1]", "[fd00::1]", "0",
        "[::ffff:10.0.0.1]", "[::ffff:127.0.0.1]", "127.0.0.2", "127.1", "2130706433", "0x7f.1",
        "100.64.0.1", "224.0.0.1", "[ff02::1]", "[::]", "[2002:7f00:1::]", "[64:ff9b::a01:203]",
        "[64:ff9b:1::7f00:1]", "[2001:0:4136:e378:8000:63bf:80ff:fffe]", "[::127.0.0.1]",
        "[fec0::1]",
    ],
)  # fmt: skip
async def test_addresses_that_are_not_public_are_not_asked(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def connect(*_: object, **__: object) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(asyncio, "open_connection", connect)
    with pytest.raises(KeysUnavailableError, match="not public"):
        await KeyFetcher().fetch(f"https://{host}/jwks")


async def test_a_name_that_leads_to_this_machine_is_not_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the name led to when the client was registered proves nothing now."""
    loop = asyncio.get_running_loop()

    async def found(host: str, port: int, **_: object) -> list[object]:
        return [(2, 1, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(loop, "getaddrinfo", found)
    with pytest.raises(KeysUnavailableError, match="not public"):
        await KeyFetcher().fetch("https://keys.example/jwks")


async def test_an_operator_can_allow_a_network(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Over TLS, with a certificate of that name and of no other."""
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = [
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj",
        "/CN=keys.example", "-addext", "subjectAltName=DNS:keys.example", "-keyout", str(key),
        "-out", str(certificate),
    ]  # fmt: skip
    making = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
    assert await asyncio.wait_for(making.wait(), 180) == 0
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(certificate, key)
    theirs = ssl.create_default_context(cafile=str(certificate))
    loop = asyncio.get_running_loop()

    async def found(host: str, port: int, **_: object) -> list[object]:
        return [(2, 1, 6, "", ("127.0.0.1", port))]

    async with answering(saying(b"{}"), ours) as port:
        monkeypatch.setattr(loop, "getaddrinfo", found)
        allowing = KeyFetcher([ip_network("127.0.0.0/8")], context=theirs)
        assert await allowing.fetch(f"https://keys.example:{port}/") == b"{}"
        with pytest.raises(KeysUnavailableError, match="cannot be had"):
            await allowing.fetch(f"https://other.example:{port}/")
        stranger = KeyFetcher([ip_network("127.0.0.0/8")])
        with pytest.raises(KeysUnavailableError, match="SSLCertVerificationError"):
            await stranger.fetch(f"https://keys.example:{port}/")


@pytest.mark.parametrize(
    "url",
    [
        "", "keys.example", "ftp://keys.example/", "file:///etc/passwd", "http://keys.example/",
        "https://", "https://user:secret@keys.example/", "https://keys.example/#a",
        "https://keys.example:port/", "https://keys.exämple/", "https://keys.example/a b",
        "https://keys.example/\r\nX: y", "https://[::1/",
    ],
)  # fmt: skip
def test_addresses_that_nobody_is_asked_at(url: str) -> None:
    with pytest.raises(BadAddressError):
        check_address(url)


class Server:
    """Gives one text after the other."""

    def __init__(self, *texts: str | None) -> None:
        self.texts = list(texts)
        self.asked = 0

    async def fetch(self, url: str) -> bytes:
        self.asked += 1
        await asyncio.sleep(0)
        text = self.texts[0] if len(self.texts) == 1 else self.texts.pop(0)
        if text is None:
            raise KeysUnavailableError("away")
        return text.encode()


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


CLIENT = ClientRow("app", (), jwks_url="https://keys.example/")


async def test_a_new_key_is_fetched_when_it_is_used_first() -> None:
    old, new = KeyPair(kid="old"), KeyPair(kid="new")
    server, clock = Server(jwks(old), jwks(old, new), jwks(new)), Clock()
    keys = ClientKeys(server, clock=clock)
    assert len(await keys.of(CLIENT, "old")) == 1
    assert await keys.of(CLIENT, "new") == ()
    assert server.asked == 1, "asked a moment ago"
    clock.now += AGAIN_S
    assert [key.kid for key in await keys.of(CLIENT, "new")] == ["new"]
    assert server.asked == 2
    clock.now += REMEMBER_S - 1
    assert await keys.of(CLIENT, "old")
    clock.now += 1
    assert await keys.of(CLIENT, "old") == (), "a key that was taken back is forgotten"
    assert server.asked == 3


async def test_unknown_keys_and_failures_do_not_make_us_ask_over_and_over() -> None:
    server, clock = Server(None), Clock()
    keys = ClientKeys(server, clock=clock)
    for number in range(50):
        with pytest.raises(KeysUnavailableError):
            await keys.of(CLIENT, f"key-{number}")
    assert server.asked == 1
    clock.now += AGAIN_S
    with pytest.raises(KeysUnavailableError):
        await keys.of(CLIENT, "key")
    assert server.asked == 2


async def test_many_at_once_ask_once() -> None:
    pair = KeyPair()
    server = Server(jwks(pair))
    keys = ClientKeys(server, clock=Clock())
    found = await asyncio.gather(*(keys.of(CLIENT, pair.kid) for _ in range(20)))
    assert all(len(each) == 1 for each in found)
    assert server.asked == 1


def test_what_counts_as_a_key() -> None:
    rsa, ec = KeyPair("RS384", "a"), KeyPair("ES384", "b")
    weak = KeyPair("RS384", "c", bits=1024)
    told = [
        rsa.jwk(), ec.jwk(), ec.jwk(kid="enc", use="enc"), ec.jwk(kid="alg", alg="ES256"),
        weak.jwk(), {"kty": "OKP", "crv": "Ed25519", "x": "AA"}, {"kty": "RSA"}, {},
        {**ec.jwk(kid="bad"), "x": "AA"}, {**ec.jwk(kid="p256"), "crv": "P-256"},
    ]  # fmt: skip
    found = public_keys(json.dumps({"keys": told}))
    assert [(key.kid, key.algorithm) for key in found] == [("a", "RS384"), ("b", "ES384")]
    for text in (
        "", "[]", "{}", '{"keys": {}}', '{"keys": [1]}', '{"keys": []}', "[" * 100_000,
        json.dumps({"keys": [weak.jwk()]}), json.dumps({"keys": [{**ec.jwk(), "d": "AA"}]}),
        json.dumps({"keys": [ec.jwk(), {"kty": "oct", "k": "AA"}]}),
        json.dumps({"keys": [ec.jwk()] * 33}), " " * (JWKS_BYTES_MAX + 1),
    ):  # fmt: skip
        with pytest.raises(BadKeysError):
            public_keys(text)


def test_our_key_is_the_same_for_all_processes() -> None:
    secret, other = b"\1" * 56, b"\2" * 56
    assert SigningKey(secret).jwks == SigningKey(secret).jwks
    assert SigningKey(secret).jwks != SigningKey(other).jwks
    [key] = SigningKey(b"\xff" * 56).jwks["keys"]
    assert key["crv"] == "P-384" and set(key) == {"kty", "crv", "x", "y", "kid", "use", "alg"}
