"""What is answered before the store is open."""

import httpx
import pytest
from fhir.resources.R4B.operationoutcome import OperationOutcome
from starlette.responses import PlainTextResponse

from wardlight_cloud.starting import Gate


async def ask(path: str, *, is_open: bool = False) -> httpx.Response:
    gate = Gate(PlainTextResponse("served"), is_open=lambda: is_open)
    transport = httpx.ASGITransport(gate)
    async with httpx.AsyncClient(transport=transport, base_url="http://ward.example") as client:
        return await client.get(path)


@pytest.mark.parametrize("path", ["/fhir", "/fhir/", "/fhir/Patient?_id=1", "/fhir/metadata"])
async def test_clients_of_fhir_get_an_outcome(path: str) -> None:
    answer = await ask(path)
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/fhir+json"
    assert (answer.headers["retry-after"], answer.headers["cache-control"]) == ("5", "no-store")
    (issue,) = OperationOutcome.model_validate_json(answer.content).issue
    assert issue.code == "transient"
    assert "database" in str(issue.diagnostics)


@pytest.mark.parametrize("path", ["/", "/login", "/api/v1/live", "/fhirs"])
async def test_others_get_a_line_of_text(path: str) -> None:
    answer = await ask(path)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.headers["content-type"].startswith("text/plain")
    assert "database" in answer.text


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_probes_are_served(path: str) -> None:
    assert (await ask(path)).text == "served"


async def test_an_open_gate_hands_on() -> None:
    assert (await ask("/fhir/Patient", is_open=True)).text == "served"
