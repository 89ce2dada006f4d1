"""Composition root of the API: FHIR, DICOMweb, live feed, dashboard, health, metrics, in one app.

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

from wardlight_cloud.audit.requests import Audited
from wardlight_cloud.audit.trail import AuditTrail
from wardlight_cloud.blob_face import opened_blob_face
from wardlight_cloud.config import Settings, load
from wardlight_cloud.dashboard.ohif_install import VIEWERS
from wardlight_cloud.dashboard.routes import DashboardRoutes
from wardlight_cloud.dicomweb.addresses import PATH as DICOMWEB
from wardlight_cloud.dicomweb.face import DicomWebFace
from wardlight_cloud.exporting import exporting
from wardlight_cloud.fhir.bulk.face import Exports
from wardlight_cloud.fhir.encoding import FROM_BYTES
from wardlight_cloud.fhir.entrance import PATH
from wardlight_cloud.fhir.observation_form import DayKeeper, keeping
from wardlight_cloud.fhir.rate_limits import ClientLimits, Rate
from wardlight_cloud.fhir.router import FhirFace
from wardlight_cloud.fhir.subscriptions.ports import Bounds
from wardlight_cloud.fhir.subscriptions.running import Subscriptions
from wardlight_cloud.image_face import opened_face
from wardlight_cloud.imaging.reads import ReadLog
from wardlight_cloud.live.hub import LiveHub
from wardlight_cloud.live.routes import LiveRoutes
from wardlight_cloud.logs import configure
from wardlight_cloud.request_metrics import Measured, exposition
from wardlight_cloud.security.cors import CrossOrigin
from wardlight_cloud.security.headers import SecurityHeaders
from wardlight_cloud.security.passwords import PasswordChecker
from wardlight_cloud.security.sessions import Sessions
from wardlight_cloud.security.tokens import TokenAuthenticator
from wardlight_cloud.smart.face import SmartFace
from wardlight_cloud.starting import Gate, opened_when_there
from wardlight_cloud.store.base import Store
from wardlight_cloud.store.open import open_store
from wardlight_cloud.worker_life import end_with_parent
from wardlight_shared import __version__
from wardlight_shared.errors import StorageError

_PROBE_S: Final = 2.0  # whoever asks whether we are ready waits for a few seconds at most
_FHIR: Final = f"{PATH}/"
_WELL_KNOWN: Final = f"{PATH}/.well-known/"
_FOR_APPS: Final = ("/oauth/token", "/oauth/revoke", "/oauth/jwks")
_YOUNG_OBJECTS: Final = 20_000


def create_app(settings: Settings, store: Store | None = None) -> FastAPI:
    """Build the application; without ``store`` its lifespan opens and closes the settings' own."""

    serving = _Serving()

    @contextlib.asynccontextmanager
    async def use(opened: Store) -> AsyncIterator[None]:
        who = _Who(settings, opened)
        reads = ReadLog(opened)
        images = opened_face(settings, opened, who.session_or_token, reads)
        blobs = opened_blob_face(settings, opened)
        days = keeping(opened) if settings.fhir.keep_days else contextlib.nullcontext()
        async with (
            reads, LiveHub(opened) as hub, images as dicomweb, blobs as blob_routes,
            days as keeper, AuditTrail(opened) as trail,
            exporting(settings, opened, has_process=store is None) as exports,
            Subscriptions(opened, _bounds(settings), note=trail.note) as subscriptions,
        ):  # fmt: skip
            without = list(app.router.routes)
            app.router.routes.extend(blob_routes)
            app.router.routes.append(subscriptions.route())
            serving.fhir = _mount(
                app, settings, opened, hub, who, dicomweb, reads, keeper, exports
            )  # fmt: skip
            serving.store, serving.trail = opened, trail
            try:
                yield
            finally:
                fhir, serving.store, serving.fhir = serving.fhir, None, None
                serving.trail = None
                await fhir.close()
                app.router.routes[:] = without  # what they lead to is closed next

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
    app.add_middleware(Audited, trail=lambda: serving.trail)
    app.add_middleware(Gate, is_open=lambda: serving.store is not None)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(
        CrossOrigin, origins=settings.http.cors_origins, paths=(PATH, *_FOR_APPS)
    )  # fmt: skip
    app.add_middleware(Measured, routes=lambda: app.router.routes)
    _operations(app, serving)
    return app


class _Serving:
    """The store while it is open, the face that machines ask all day, and who writes down what."""

    store: Store | None = None
    fhir: FhirFace | None = None
    trail: AuditTrail | None = None


class _FhirFirst:
    """Takes requests for FHIR past the router, whose work is felt in a page of Observations."""

    def __init__(self, app: ASGIApp, serving: _Serving) -> None:
        self._app = app
        self._serving = serving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand one request on."""
        fhir = self._serving.fhir
        if fhir is not None and scope["type"] == "http" and _is_fhir(scope["path"]):
            await fhir(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _is_fhir(path: str) -> bool:
    return f"{path}/".startswith(_FHIR) and not path.startswith(_WELL_KNOWN)


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


class _Who:
    """Finds out who asks: the session of a user, the token of a client."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self.tokens = TokenAuthenticator(store)
        self.sessions = Sessions(store, secure=settings.http.cookie_secure)

    async def session_or_token(self, request: HTTPConnection) -> object:
        """The login or the Access; PermissionError for nobody."""
        return await self.sessions.login(request) or await self.tokens.access(request)


def _mount(
    app: FastAPI, settings: Settings, store: Store, hub: LiveHub, who: _Who,
    dicomweb: DicomWebFace, reads: ReadLog, keeper: DayKeeper | None, exports: Exports,
) -> FhirFace:  # fmt: skip
    fhir = FhirFace(
        store, who.tokens.access, base_url=settings.http.base_url, keeper=keeper, exports=exports,
        limits=_limits(settings), gzip_from=FROM_BYTES if settings.fhir.gzip else None,
        takes_other_origins=bool(settings.http.cors_origins),
        bounds=_bounds(settings),
        cold_s=None if settings.objects.cold is None else settings.objects.cold.delay_s,
        prescribing=settings.fhir.prescribing_clients,
    )  # fmt: skip
    live = LiveRoutes(store, hub, who.session_or_token)
    dashboard = DashboardRoutes(
        store,
        store,
        who.sessions,
        PasswordChecker(store),
        reads,
        viewers=settings.data_dir / VIEWERS,
    )
    smart = SmartFace(
        store, who.sessions, base_url=settings.http.base_url,
        key_networks=settings.http.key_networks,
    )  # fmt: skip
    app.router.routes.extend(smart.routes())
    app.router.routes.append(Mount("/api/v1", routes=live.routes()))
    app.router.routes.append(Mount(DICOMWEB, routes=dicomweb.routes()))
    app.router.routes.extend(dashboard.routes())
    return fhir


def _limits(settings: Settings) -> ClientLimits | None:
    """What one client may ask for; None = as much as it likes."""
    fhir = settings.fhir
    if not fhir.requests_per_s and not fhir.bytes_per_s:
        return None
    unlimited = float("inf")
    return ClientLimits(
        Rate(fhir.requests_per_s or unlimited, fhir.request_burst),
        Rate(fhir.bytes_per_s or unlimited, fhir.byte_burst),
    )


def _bounds(settings: Settings) -> Bounds:
    own = settings.subscriptions
    return Bounds(own.networks, own.on_this_machine, own.per_client, own.event_days)


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
