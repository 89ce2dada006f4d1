"""What stands around the FHIR face: compression, limits for each client, other origins."""

import gzip
from collections.abc import Sequence
from typing import cast

import httpx
import orjson
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from wardlight_cloud.fhir.asking import check_accept
from wardlight_cloud.fhir.encoding import encoded, takes_gzip
from wardlight_cloud.fhir.outcome import FhirError
from wardlight_cloud.fhir.rate_limits import ClientLimits, Rate
from wardlight_cloud.fhir.subscriptions.signing import SECRET
from wardlight_cloud.security.cors import CrossOrigin
from wardlight_cloud.security.sessions import Sessions
from wardlight_cloud.smart.face import SmartFace, SmartStore

JSON = "application/fhir+json"
BODY = b'{"value":36.50,"text":"' + b"a" * 3000 + b'"}'


def _scope(query: bytes = b"", path: str = "/fhir/Patient", **headers: str) -> Scope:
    pairs = [(name.replace("_", "-").encode(), text.encode()) for name, text in headers.items()]
    return {"type": "http", "path": path, "query_string": query, "headers": pairs}


@pytest.mark.parametrize(
    ("accepted", "takes"),
    [
        ("gzip", True), ("deflate, GZIP;q=0.5", True), ("*", True), ("br, *;q=0.1", True),
        ("", False), ("identity", False), ("gzip;q=0", False), ("*;q=1, gzip;q=0", False),
        ("gzip;q=much", False), ("gzip2", False),
    ],
)  # fmt: skip
def test_who_takes_gzip(accepted: str, takes: bool) -> None:
    assert takes_gzip(_scope(accept_encoding=accepted)) is takes
    assert not takes_gzip(_scope())


async def test_bodies_are_compressed_from_a_size_on() -> None:
    scope = _scope(accept_encoding="gzip")
    answer = await encoded(scope, Response(BODY, media_type=JSON), from_bytes=1500)
    assert gzip.decompress(bytes(answer.body)) == BODY and len(answer.body) < 300
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["content-length"] == str(len(answer.body))
    assert answer.headers["vary"] == "Accept-Encoding"
    large = BODY * 100
    answer = await encoded(scope, Response(large), from_bytes=1500)
    assert gzip.decompress(bytes(answer.body)) == large
    for from_bytes, asked, body in (
        (1500, _scope(), BODY), (len(BODY) + 1, scope, BODY), (None, scope, BODY),
    ):  # fmt: skip
        answer = await encoded(asked, Response(body), from_bytes=from_bytes)
        assert answer.body == body and "content-encoding" not in answer.headers
    assert (await encoded(_scope(), Response(BODY), from_bytes=1500)).headers["vary"]
    packed = Response(BODY, headers={"Content-Encoding": "br"})
    assert (await encoded(scope, packed, from_bytes=1500)).body == BODY


async def test_pretty_keeps_digits() -> None:
    answer = await encoded(
        _scope(b"_pretty=true"), Response(BODY, media_type=JSON), from_bytes=None
    )
    text = bytes(answer.body)
    assert b'"value": 36.50,\n' in text and orjson.loads(text) == orjson.loads(BODY)
    assert answer.headers["content-length"] == str(len(text))
    for query, kind in ((b"_pretty=false", JSON), (b"_pretty=true", "text/plain")):
        kept = await encoded(_scope(query), Response(BODY, media_type=kind), from_bytes=None)
        assert kept.body == BODY


@pytest.mark.parametrize(
    ("path", "query", "accept", "is_refused"),
    [
        ("/fhir/Patient", b"", JSON, False), ("/fhir/Patient", b"", "application/fhir+xml", True),
        ("/fhir/Patient", b"", "text/xml, */*;q=0.1", False),
        ("/fhir/Patient", b"_format=xml", JSON, True),
        ("/fhir/Patient", b"_format=application/fhir+json", "text/html", False),
        ("/fhir/Patient", b"", "application/fhir+ndjson", True),
        ("/fhir/_export/1/Patient.ndjson", b"", "application/fhir+ndjson", False),
        ("/fhir/_export/1/Patient.ndjson", b"", "application/fhir+xml", True),
    ],
)  # fmt: skip
def test_no_xml(path: str, query: bytes, accept: str, is_refused: bool) -> None:
    request = Request(_scope(query, path, accept=accept))
    if not is_refused:
        check_accept(request)
        return
    with pytest.raises(FhirError, match="no XML") as caught:
        check_accept(request)
    assert (caught.value.status, caught.value.expression) == (406, "http.Accept")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_client_has_its_own_bucket() -> None:
    clock = Clock()
    limits = ClientLimits(Rate(2, 3), Rate(1000, 5000), clock=clock)

    def refused(client: str) -> int | None:
        try:
            limits.admit(client)
        except FhirError as error:
            assert error.status == 429
            return int(error.headers["Retry-After"])
        return None

    assert [refused("a") for _ in range(4)] == [None, None, None, 1]
    assert refused("b") is None
    clock.now += 0.5
    assert [refused("a"), refused("a")] == [None, 1]
    clock.now += 3600
    assert [refused("a") for _ in range(4)] == [None, None, None, 1], "it holds a burst, no more"
    clock.now += 3600
    # What an answer costs is known behind it: the bucket owes, and the next one waits.
    limits.admit("b")
    limits.charge("b", 15_000)
    assert refused("b") == 10
    clock.now += 9.5
    assert refused("b") == 1
    clock.now += 0.6
    assert refused("b") is None


async def _answer(scope: Scope, receive: Receive, send: Send) -> None:
    await Response(b"{}", headers={"Vary": "Accept-Encoding"})(scope, receive, send)


def _asking(origins: Sequence[str]) -> httpx.AsyncClient:
    app = CrossOrigin(_answer, origins, ("/fhir", "/oauth/token"))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x")


async def test_only_named_origins_may_ask() -> None:
    app, other = {"Origin": "https://app.example"}, {"Origin": "https://evil.example"}
    preflight = {"Access-Control-Request-Method": "GET"}
    allow, expose = "access-control-allow-origin", "access-control-expose-headers"
    async with _asking(["https://app.example"]) as client:
        answer = await client.get("/fhir/Patient", headers=app)
        assert answer.headers[allow] == "https://app.example"
        shown = set(answer.headers[expose].split(", "))
        assert shown >= {
            "Location", "ETag", "Last-Modified", "Content-Location", "Retry-After", "X-Progress",
            "Link", "Warning", "WWW-Authenticate", "Allow", "Content-Range", SECRET,
        }  # fmt: skip
        assert "Origin" in answer.headers.get_list("vary")
        assert "access-control-allow-credentials" not in answer.headers
        answer = await client.options("/fhir/Patient", headers={**app, **preflight})
        assert (answer.status_code, answer.content) == (204, b"")
        assert "Authorization" in answer.headers["access-control-allow-headers"]
        assert "PATCH" in answer.headers["access-control-allow-methods"]
        for headers in (other, {**other, **preflight}, {}):
            method = "OPTIONS" if preflight.keys() <= headers.keys() else "GET"
            answer = await client.request(method, "/fhir/Patient", headers=headers)
            assert allow not in answer.headers and "Origin" in answer.headers.get_list("vary")
        assert allow in (await client.post("/oauth/token", headers=app)).headers
        for path in ("/patients", "/oauth/tokens", "/fhirs"):
            assert allow not in (await client.get(path, headers=app)).headers
    async with _asking([]) as client:
        assert allow not in (await client.get("/fhir/Patient", headers=app)).headers
    async with _asking(["*"]) as client:
        assert (await client.get("/fhir/Patient", headers=other)).headers[allow] == "*"


@pytest.mark.parametrize("origins", [["https://app.example"], ["*"], []])
async def test_what_is_open_to_everybody_names_one_origin(origins: list[str]) -> None:
    """Browsers refuse an answer with two of these headers."""
    store, sessions = cast(SmartStore, None), cast(Sessions, None)
    inner = Starlette(routes=SmartFace(store, sessions, base_url="https://x").routes())
    app = CrossOrigin(inner, origins, ("/fhir", "/oauth/jwks"))
    paths = ("/fhir/.well-known/smart-configuration", "/.well-known/smart-configuration")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
        for path in paths:
            for origin in ("https://app.example", "https://other.example"):
                answer = await client.get(path, headers={"Origin": origin})
                assert answer.status_code == 200
                (named,) = answer.headers.get_list("access-control-allow-origin")
                assert named in ("*", origin)
            assert (await client.get(path)).status_code == 200
