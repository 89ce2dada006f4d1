"""A patient's record where a kind answers with more than it was asked for."""

import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from starlette.requests import Request

from wardlight_cloud.fhir import isolation
from wardlight_cloud.fhir.operations.everything import Everything
from wardlight_cloud.fhir.stored.asker import Asker
from wardlight_cloud.security.access import Access, permissions

PATIENT = "0b8f4f5e-6f0a-4a3b-9d3e-7f1f6f0c2a11"
BASE = "http://ward.example/fhir"
DOCUMENTS = 3  # of one commit, where a page ends: all of them, however few are asked for
KINDS = {
    "Patient": {"_id": "token"},
    "DocumentReference": {"patient": "reference"},
    "Provenance": {"patient": "reference"},
}


class OpenCursors:
    """Cursors that are not sealed."""

    def seal_cursor(self, position: bytes, search: str) -> bytes:
        assert search
        return position

    def open_cursor(self, cursor: bytes, search: str) -> bytes:
        assert search
        return cursor


async def of_the_ward(_: Request, path: str, query: str) -> tuple[int, bytes]:
    """One of each kind, but DOCUMENTS of documents; refuses what no search takes."""
    if "/" in path:
        return 200, b"{}"
    assert int(dict(parse_qsl(query))["_count"]) > 0
    many = DOCUMENTS if path == "DocumentReference" else 1
    entries = [{"resource": {"resourceType": path, "id": str(n)}} for n in range(many)]
    return 200, json.dumps({"resourceType": "Bundle", "entry": entries}).encode()


async def page(query: str) -> Any:
    access = Access("ehr", permissions(("system/*.rs",)))
    request = isolation.on_behalf_of(access)
    request.scope["query_string"] = query.encode()
    everything = Everything(OpenCursors(), of_the_ward, lambda: KINDS)
    return json.loads(bytes((await everything.of(Asker(request, BASE), PATIENT)).body))


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 50])
async def test_a_page_that_is_fuller_than_asked_for_leads_on(count: int) -> None:
    found: list[str] = []
    query = f"_count={count}"
    while query:
        bundle = await page(query)
        found += [each["resource"]["resourceType"] for each in bundle["entry"]]
        following = [each["url"] for each in bundle["link"] if each["relation"] == "next"]
        query = urlsplit(following[0]).query if following else ""
    assert found == ["Patient", *["DocumentReference"] * DOCUMENTS, "Provenance"]
