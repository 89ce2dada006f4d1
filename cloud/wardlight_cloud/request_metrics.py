"""What the API tells Prometheus: requests by route and status, how long they took, live feeds open.

Labels are names of routes, never a path: a path may name a patient. One process keeps its numbers
itself; worker processes keep theirs in a folder they share, so that any of them answers for all
(Source: prometheus_client, "Multiprocess Mode (E.g. Gunicorn)").
"""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import perf_counter
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wardlight_cloud.fhir.entrance import PATH as FHIR
from wardlight_cloud.worker_metrics import FOLDER

_OTHER: Final = "other"
_METHODS: Final = frozenset({"GET", "HEAD", "POST"})
_KINDS: Final = frozenset({"Observation", "Patient", "Device"})
_STREAM: Final = b"text/event-stream"

REQUESTS = Counter("wardlight_http_requests", "Requests answered", ["route", "method", "status"])
SECONDS = Histogram(
    "wardlight_http_request_seconds",
    "From a request to the end of its answer; of a live feed to its beginning",
    ["route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
LIVE = Gauge("wardlight_live_streams", "Live feeds open", multiprocess_mode="livesum")


class Measured:
    """ASGI middleware around everything else. ``routes`` gives the routes of the application."""

    def __init__(self, app: ASGIApp, routes: Callable[[], Sequence[BaseRoute]]) -> None:
        self._app = app
        self._routes = routes
        self._names: dict[int, tuple[object, str]] = {}  # by id: not all can be hashed
        self._counters: dict[tuple[str, str, int], Counter] = {}
        self._clocks: dict[str, Histogram] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, begun, told_at, is_live = 500, perf_counter(), 0.0, False

        async def note(message: Message) -> None:
            nonlocal status, told_at, is_live
            if message["type"] == "http.response.start":
                status = message["status"]
                if any(value.startswith(_STREAM) for _, value in message.get("headers", ())):
                    is_live, told_at = True, perf_counter()
                    LIVE.inc()
            await send(message)

        try:
            await self._app(scope, receive, note)
        finally:
            if is_live:
                LIVE.dec()
            self._count(scope, status, (told_at or perf_counter()) - begun)

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in _METHODS else _OTHER
        key = (self._name(scope), method, status)
        counter = self._counters.get(key)
        if counter is None:
            counter = self._counters[key] = REQUESTS.labels(*map(str, key))
            self._clocks[key[0]] = SECONDS.labels(key[0])
        counter.inc()
        self._clocks[key[0]].observe(seconds)

    def _name(self, scope: Scope) -> str:
        if f"{scope['path']}/".startswith(f"{FHIR}/"):
            return _fhir_name(scope["path"])
        endpoint = scope.get("endpoint")
        if endpoint is None:
            return _OTHER
        known = self._names.get(id(endpoint))
        if known is None:  # routes of an opened store come later
            self._names.update((id(each), (each, name)) for each, name in _names(self._routes()))
            known = self._names.setdefault(id(endpoint), (endpoint, _OTHER))
        return known[1]


def _fhir_name(path: str) -> str:
    kind, slash, rest = path.removeprefix(FHIR).removeprefix("/").partition("/")
    if kind == "metadata" and not slash:
        return f"{FHIR}/metadata"
    if kind not in _KINDS:
        return _OTHER
    return f"{FHIR}/{kind}" + (("/_search" if rest == "_search" else "/{id}") if slash else "")


def _names(routes: Sequence[BaseRoute], prefix: str = "") -> Iterator[tuple[object, str]]:
    """Each endpoint with the path of its route as it is written; one for all paths has no name."""
    for route in routes:
        if isinstance(route, Route):
            name = f"{prefix}{route.path}"
            yield route.endpoint, _OTHER if ":path}" in name else name
        elif isinstance(route, Mount):
            yield route.app, f"{prefix}{route.path}"
            yield from _names(route.routes, f"{prefix}{route.path}")


def exposition() -> bytes:
    """All numbers in the Prometheus text format."""
    folder = os.environ.get(FOLDER)
    if folder is None:
        return generate_latest()
    _forget_ended(Path(folder))
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry, path=folder)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def _forget_ended(folder: Path) -> None:
    """What an ended worker had open is not open; what it counted stays."""
    for file in folder.glob("gauge_live*_*.db"):
        pid = file.stem.rpartition("_")[2]
        if not Path(f"/proc/{pid}").exists():
            multiprocess.mark_process_dead(int(pid), path=str(folder))  # type: ignore[no-untyped-call]
