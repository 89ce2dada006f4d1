"""Requests are counted by the name of their route: no path, no id, nothing that a client chose."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from prometheus_client import REGISTRY
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Mount, Route

from wardlight_cloud.request_metrics import Measured, exposition
from wardlight_cloud.worker_metrics import FOLDER, shared_among_workers


async def page(request: Request) -> Response:
    return Response(status_code=201)


async def broken(request: Request) -> Response:
    raise ZeroDivisionError


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def requests(route: str, status: int, method: str = "GET") -> float:
    name = "wardlight_http_requests_total"
    return value(name, route=route, method=method, status=str(status))


@pytest.fixture
def client() -> httpx.AsyncClient:
    routes = [
        Route("/patients/{patient:uuid}", page),
        Route("/broken", broken),
        Mount("/api/v1", routes=[Route("/live", live), Route("/trend", trend)]),
        Route("/{path:path}", everything),
    ]
    app = Measured(Starlette(routes=routes), lambda: routes)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://x")


async def trend(request: Request) -> Response:
    return Response()


async def everything(request: Request) -> Response:
    return Response(status_code=404)


async def live(request: Request) -> Response:
    async def events() -> AsyncIterator[bytes]:
        assert value("wardlight_live_streams") == 1
        yield b"data: {}\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


@pytest.mark.parametrize(
    ("path", "route", "status"),
    [
        ("/patients/0b8f4f5e-6f0a-4a3b-9d3e-7f1f6f0c2a11", "/patients/{patient:uuid}", 201),
        ("/api/v1/trend?patient=Anna", "/api/v1/trend", 200),
        ("/api/v1/live", "/api/v1/live", 200),
        ("/broken", "/broken", 500),
        ("/Anna/Alm", "other", 404),
        ("/fhir/Patient?name=Anna", "/fhir/Patient", 404),
        ("/fhir/Patient/Anna", "/fhir/Patient/{id}", 404),
        ("/fhir/Observation/_search", "/fhir/Observation/_search", 404),
        ("/fhir/metadata", "/fhir/metadata", 404),
        ("/fhir/Anna", "other", 404),
    ],
)
async def test_a_request_counts_for_its_route(
    client: httpx.AsyncClient, path: str, route: str, status: int
) -> None:
    took = {"route": route}
    before = requests(route, status), value("wardlight_http_request_seconds_count", **took)
    await client.get(path)
    assert requests(route, status) == before[0] + 1
    assert value("wardlight_http_request_seconds_count", **took) == before[1] + 1
    assert value("wardlight_live_streams") == 0
    assert b"Anna" not in exposition()


async def test_a_method_that_a_client_invents_has_no_name(client: httpx.AsyncClient) -> None:
    await client.request("ANNA", "/nowhere")
    assert requests("other", 404, "other") or requests("other", 405, "other")
    assert b"ANNA" not in exposition()


def test_workers_share_a_folder_while_they_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FOLDER, raising=False)
    with shared_among_workers(1):
        assert FOLDER not in os.environ
    with shared_among_workers(2):
        folder = Path(os.environ[FOLDER])
        assert folder.is_dir()
    assert FOLDER not in os.environ
    assert not folder.exists()
