"""Composition root of the API: FHIR, live feed, dashboard, health and metrics in one ASGI app.

``create_app`` takes the settings; ``from_environment`` is the factory that server workers call
(WARDLIGHT_CONFIG_FILE names the settings file).
"""

import asyncio
import contextlib
import gc
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from fastapi import FastAPI
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from wardlight_cloud.config import Settings, load
from wardlight_cloud.dashboard.routes import DashboardRoutes
from wardlight_cloud.fhir.router import PATH, FhirFace
from wardlight_cloud.live.hub import LiveHub
from wardlight_cloud.live.routes import LiveRoutes
from wardlight_cloud.logs import configure
from wardlight_cloud.request_metrics import Measured, exposition
from wardlight_cloud.security.headers import SecurityHeaders
from wardlight_cloud.security.passwords import PasswordChecker
from wardlight_cloud.security.sessions import Sessions
from wardlight_cloud.security.tokens import TokenAuthenticator
from wardlight_cloud.starting import Gate, opened_when_there
from wardlight_cloud.store.base import Store
from wardlight_cloud.store.open import open_store
from wardlight_cloud.worker_life import end_with_parent
from wardlight_shared import __version__
from wardlight_shared.errors import StorageError

_PROBE_S: Final = 2.0  # whoever asks whether we are ready waits for a few seconds at most
_FHIR: Final = f"{PATH}/"
_YOUNG_OBJECTS: Final = 20_000


def create_app(settings: Settings, store: Store | None = None) -> FastAPI:
    """Build the application; without ``store`` its lifespan opens and closes the settings' own."""

    serving = _Serving()

    @contextlib.asynccontextmanager
    async def use(opened: Store) -> AsyncIterator[None]:
        async with LiveHub(opened) as hub:
            serving.fhir = _mount(app, settings, opened, hub)
            serving.store = opened
            try:
                yield
            finally:
                serving.store = serving.fhir = None

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        used = opened_when_there(lambda: open_store(settings), use) if store is None else use(store)
        async with used:
            yield

    app = FastAPI(
        title="Wardlight", version=__version__, lifespan=lifespan,
        docs_url=None, redoc_url=None, openapi_url=None,
    )  # fmt: skip
    app.add_middleware(_FhirFirst, serving=serving)
    app.add_middleware(Gate, is_open=lambda: serving.store is not None)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(Measured, routes=lambda: app.router.routes)
    _operations(app, serving)
    return app


class _Serving:
    """The store while it is open, and the face that machines ask all day."""

    store: Store | None = None
    fhir: FhirFace | None = None


class _FhirFirst:
    """Takes requests for FHIR past the router, whose work is felt in a page of Observations."""

    def __init__(self, app: ASGIApp, serving: _Serving) -> None:
        self._app = app
        self._serving = serving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand one request on."""
        fhir = self._serving.fhir
        if fhir is not None and scope["type"] == "http" and f"{scope['path']}/".startswith(_FHIR):
            await fhir(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def from_environment() -> FastAPI:
    """Factory for server workers."""
    # What is loaded by now stays for good, and a page of Observations is thousands of objects that
    # end with it: looking through both as often as small programs do costs 5 % of such a page.
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS)
    end_with_parent()
    path = os.environ.get("WARDLIGHT_CONFIG_FILE")
    settings = load(Path(path) if path else None)
    configure(settings.log)  # workers are spawned: what their parent configured is not theirs
    return create_app(settings)


def _mount(app: FastAPI, settings: Settings, store: Store, hub: LiveHub) -> FhirFace:
    tokens = TokenAuthenticator(store)
    sessions = Sessions(store, secure=settings.http.cookie_secure)

    async def session_or_token(request: HTTPConnection) -> object:
        return await sessions.login(request) or await tokens.client(request)

    fhir = FhirFace(store, tokens.client, base_url=settings.http.base_url)
    live = LiveRoutes(store, hub, session_or_token)
    dashboard = DashboardRoutes(store, sessions, PasswordChecker(store))
    app.router.routes.append(Mount("/api/v1", routes=live.routes()))
    app.router.routes.extend(dashboard.routes())
    return fhir


def _operations(app: FastAPI, serving: _Serving) -> None:
    @app.get("/healthz")
    async def healthz() -> JSONResponse:
        """The process answers."""
        return JSONResponse({"status": "ok", "software": __version__})

    @app.get("/readyz")
    async def readyz() -> JSONResponse:
        """The database answers and its schema is the right one."""
        try:
            async with asyncio.timeout(_PROBE_S):
                ready = serving.store is not None and await serving.store.is_ready()
        except (StorageError, TimeoutError):
            ready = False
        return JSONResponse({"ready": ready}, 200 if ready else 503)

    @app.get("/metrics")
    async def metrics() -> Response:
        """Counters of all workers in the Prometheus text format; no ids of patients."""
        return Response(exposition(), media_type=CONTENT_TYPE_LATEST)
