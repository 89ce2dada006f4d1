"""Whatever is sent: an answer of FHIR, never a failure of the server."""

import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest
from fhir.resources.R4B.operationoutcome import OperationOutcome
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.stored_resources import created, organization, task
from wardlight_cloud.fhir.capability import search_parameters
from wardlight_cloud.fhir.stored.incoming import BUNDLE_BYTES, RESOURCE_BYTES

ANY = settings(
    max_examples=60, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
KINDS = st.sampled_from(["Task", "Observation", "Patient", "Device", "Organization", "Encounter"])
NASTY = st.sampled_from(
    ["'; DROP TABLE resource; --", "%00", "\\", "|", "a|b|c", "\U0001f600", "${x}", "../..", "*",
     "9" * 400, "-1", "ge", "gt2026-99", "(a+)+$", "true", "Patient/", "_history", "\ud7ff", "%"]
)  # fmt: skip
NAMES = st.sampled_from(sorted({name for own in search_parameters().values() for name in own}))
TEXTS = NASTY | st.text(max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=10,
)


def checked(answer: httpx.Response) -> None:
    """4xx has an OperationOutcome; nothing else than 2xx, 3xx and 4xx is an answer."""
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        OperationOutcome.model_validate_json(answer.content)
        assert answer.json()["issue"][0]["diagnostics"]


@ANY
@given(
    kind=KINDS, name=NAMES | TEXTS, end=st.sampled_from(["", ":not", ":exact", ".name", ":missing",
    ":identifier", ":Patient", ":Patient.name"]), text=TEXTS, more=st.sampled_from(
    ["", "_count", "_sort", "_cursor", "_include", "_revinclude", "_elements", "_summary",
     "_total", "_lastUpdated", "_has:Task:owner:code", "_id"]),
)  # fmt: skip
async def test_any_search(
    client: httpx.AsyncClient, kind: str, name: str, end: str, text: str, more: str
) -> None:
    parameters = [(name + end, text), (more, text)] if more else [(name + end, text)]
    checked(await client.get(f"/fhir/{kind}?{urlencode(parameters)}"))


@ANY
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]),
    path=st.lists(KINDS | TEXTS | st.sampled_from(["_history", "_search", "1"]), max_size=4),
    body=JSON,
)  # fmt: skip
async def test_any_request(
    client: httpx.AsyncClient, method: str, path: list[str], body: Any
) -> None:
    url = "/fhir/" + "/".join(quote(each, safe="") for each in path)
    answer = await client.request(method, url, content=json.dumps(body, default=str))
    if method == "HEAD":
        assert answer.status_code < 500
    else:
        checked(answer)


@ANY
@given(kind=st.sampled_from(["Task", "Observation", "Patient", "Organization"]),
       fields=st.dictionaries(st.sampled_from(
           ["status", "intent", "for", "code", "subject", "name", "identifier", "meta", "id",
            "contained", "extension", "effectiveDateTime", "valueQuantity", "birthDate", "text"]),
           JSON, max_size=5))  # fmt: skip
async def test_any_resource(client: httpx.AsyncClient, kind: str, fields: dict[str, Any]) -> None:
    text = json.dumps({"resourceType": kind, **fields})
    checked(await client.post(f"/fhir/{kind}", content=text))


PATHS = st.sampled_from(
    ["", "/name", "/name/0", "/name/-", "/meta", "/meta/versionId", "/meta/tag", "/identifier",
     "/identifier/0", "/identifier/0/value", "/id", "/resourceType", "/contained", "/x", "name"]
) | JSON  # fmt: skip
OPS = st.sampled_from(["add", "remove", "replace", "move", "copy", "test"])


@ANY
@given(patch=st.lists(st.fixed_dictionaries({"op": OPS | JSON, "path": PATHS}, optional={
    "value": JSON, "from": PATHS}) | JSON, min_size=1, max_size=3))  # fmt: skip
async def test_any_patch(client: httpx.AsyncClient, patch: list[Any]) -> None:
    made = organization(id="patched", identifier=[{"value": "1"}], meta={"tag": [{"code": "x"}]})
    assert (await client.put("/fhir/Organization/patched", json=made)).status_code in (200, 201)
    kind = {"Content-Type": "application/json-patch+json"}
    text = json.dumps(patch)
    checked(await client.patch("/fhir/Organization/patched", content=text, headers=kind))


@pytest.mark.parametrize(
    ("operation", "status"),
    [
        ({"op": [], "path": "/name"}, 400), ({"op": {}, "path": "/name"}, 400),
        ({"op": "add", "path": "/meta", "value": 5}, 422),
        ({"op": "replace", "path": "/meta", "value": None}, 422),
        ({"op": "add", "path": "/name", "value": None}, 422),
    ],
)  # fmt: skip
async def test_patches_to_what_is_no_resource(
    client: httpx.AsyncClient, operation: Any, status: int
) -> None:
    made = await created(client, organization(meta={"tag": [{"code": "x"}]}))
    kind = {"Content-Type": "application/json-patch+json"}
    url, text = f"/fhir/Organization/{made['id']}", json.dumps([operation])
    answer = await client.patch(url, content=text, headers=kind)
    checked(answer)
    assert answer.status_code == status
    assert (await client.get(url)).json() == made


@ANY
@given(entries=st.lists(st.fixed_dictionaries({}, optional={
    "fullUrl": TEXTS, "resource": JSON,
    "request": st.fixed_dictionaries({}, optional={
        "method": st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "X"]) | JSON,
        "url": st.sampled_from(["Task", "Task/1", "Task?_id=1", "_history", "metadata", ""]) | JSON,
        "ifMatch": JSON, "ifNoneExist": JSON,
    }) | JSON,
}) | JSON, max_size=3), kind=st.sampled_from(["batch", "transaction"]))  # fmt: skip
async def test_any_bundle(client: httpx.AsyncClient, entries: list[Any], kind: str) -> None:
    bundle = {"resourceType": "Bundle", "type": kind, "entry": entries}
    checked(await client.post("/fhir", content=json.dumps(bundle)))


async def test_bodies_without_end_are_refused_while_they_are_read(
    client: httpx.AsyncClient,
) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(1600):  # 100 MiB
            sent += 65536
            yield b" " * 65536

    for path, limit in (("/fhir/Task", RESOURCE_BYTES), ("/fhir", BUNDLE_BYTES)):
        sent = 0
        answer = await client.post(path, content=endless())
        assert answer.status_code == 413
        checked(answer)
        huge = {"Content-Length": str(100 << 20)}
        answer = await client.post(path, content=b"{}", headers=huge)
        assert answer.status_code == 413, limit


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"[]", b'"Task"', b"\xff\xfe",
        b'{"resourceType":"Task","resourceType":"Task"}',
        b'{"a":' * 5000 + b"1" + b"}" * 5000, b'{"resourceType":"Task","x":1e999999999}',
        b'{"resourceType":"Task","status":"\\ud800"}', b'{"resourceType":["Task"]}',
    ],
)  # fmt: skip
async def test_bodies_that_are_no_resource(client: httpx.AsyncClient, body: bytes) -> None:
    for method, path in (("POST", "Task"), ("PUT", "Task/1"), ("POST", "")):
        answer = await client.request(method, f"/fhir/{path}", content=body)
        assert answer.status_code in (400, 422), answer.text
        checked(answer)


async def test_bundles_in_bundles(client: httpx.AsyncClient) -> None:
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "transaction"}
    for _ in range(12):
        entry = {"resource": bundle, "request": {"method": "POST", "url": "Bundle"}}
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
    answer = await client.post("/fhir", json=bundle)
    assert answer.status_code == 404
    many = {"request": {"method": "GET", "url": "metadata"}}
    answer = await client.post("/fhir", json={**bundle, "entry": [many] * 1001})
    assert answer.status_code == 413
    checked(answer)


async def test_texts_of_attackers_are_texts(client: httpx.AsyncClient) -> None:
    for text in ("'; DROP TABLE resource; --", "%' OR '1'='1", "\\", "x" * 5000):
        made = await created(client, organization(text, identifier=[{"value": text}]))
        escaped = text.replace("\\", "\\\\").replace(",", "\\,").replace("|", "\\|")
        answer = await client.get("/fhir/Organization", params={"identifier": escaped})
        assert [each["resource"]["id"] for each in answer.json()["entry"]] == [made["id"]]
    await created(client, task())


@pytest.mark.parametrize(
    "path",
    [
        *(f"{kind}/%00" for kind in ("Patient", "Task", "Observation", "Device", "Group", "Flag",
                                     "ImagingStudy", "AuditEvent", "Provenance", "None")),
        "Observation/%00/_history", "Observation/%00/_history/1", "Task/1/_history/%00",
        "Patient/%00/$everything", "Subscription/%00/$status", "Group/%00/$export",
        "Observation/minute-%00", "Device/gateway-%00", "_export/%00", "_export/1/%00", "%00",
    ],
)  # fmt: skip
async def test_nul_in_a_path_finds_nothing(client: httpx.AsyncClient, path: str) -> None:
    """PostgreSQL refuses it even as something to look for."""
    answer = await client.get(f"/fhir/{path}")
    assert answer.status_code == 404
    checked(answer)
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        answer = await client.request(method, f"/fhir/{path}", json=task())
        assert 400 <= answer.status_code < 500
        checked(answer)


@ANY
@given(
    method=st.sampled_from(["GET", "PUT", "DELETE", "POST"]),
    path=st.lists(KINDS | st.sampled_from(
        ["\0", "a\0", "_history", "_search", "$everything", "$export", "$status", "1"]
    ), max_size=4),
)  # fmt: skip
async def test_any_path_with_nul(client: httpx.AsyncClient, method: str, path: list[str]) -> None:
    url = "/fhir/" + "/".join(quote(each) for each in path)
    checked(await client.request(method, url, json={}))
