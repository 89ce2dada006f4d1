"""The pages: sign in, patient list, one patient, operations. All need a session but sign-in.

Forms are protected by SameSite=Strict cookies and by the Origin header.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import parse_qs, quote, urlsplit
from uuid import UUID

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from wardlight_cloud.dashboard import views
from wardlight_cloud.security.passwords import PasswordChecker, TooManyLogins
from wardlight_cloud.security.sessions import Sessions
from wardlight_cloud.store.base import LatestRow, Patient, ReadStore, RegisterStore
from wardlight_cloud.store.quarantine import QuarantineStore
from wardlight_shared.errors import StorageError

_STATIC: Final = Path(__file__).parent / "static"
_LIST_MAX: Final = 500
_FORM_MAX: Final = 8 * 1024
_Page = Callable[[Request], Awaitable[Response]]


class DashboardStore(ReadStore, RegisterStore, QuarantineStore, Protocol):
    """What the pages need of the store."""


class DashboardRoutes:
    """Builds the routes."""

    def __init__(
        self, store: DashboardStore, sessions: Sessions, passwords: PasswordChecker
    ) -> None:
        self._store = store
        self._sessions = sessions
        self._passwords = passwords
        self._templates = Environment(
            loader=PackageLoader("wardlight_cloud.dashboard"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def routes(self) -> list[Route | Mount]:
        """Routes at the root."""
        return [
            Mount("/static", StaticFiles(directory=_STATIC)),
            Route("/login", self._answering(self._login_page), methods=["GET"]),
            Route("/login", self._answering(self._login), methods=["POST"]),
            Route("/logout", self._answering(self._logout), methods=["POST"]),
            Route("/", self._signed_in(self._patients)),
            Route("/patients/{patient:uuid}", self._signed_in(self._patient)),
            Route("/operations", self._signed_in(self._operations)),
            Route("/{path:path}", self._answering(self._unknown)),  # the last route of the site
        ]

    def _answering(self, page: _Page) -> _Page:
        async def answer(request: Request) -> Response:
            try:
                return await page(request)
            except StorageError:
                return self._message(
                    request, 503, "The database does not answer", "Reload the page in a moment."
                )

        return answer

    def _signed_in(self, page: _Page) -> _Page:
        async def guarded(request: Request) -> Response:
            request.state.login = await self._sessions.login(request)
            if request.state.login is None:
                target = quote(request.url.path, safe="/")
                return RedirectResponse(f"/login?next={target}", 303)
            return await page(request)

        return self._answering(guarded)

    def _html(
        self, request: Request, template: str, status: int = 200, **values: object
    ) -> Response:
        page = self._templates.get_template(template).render(
            login=getattr(request.state, "login", None),
            path=request.url.path,
            now=datetime.now(UTC),
            **values,
        )
        return HTMLResponse(page, status)

    def _message(self, request: Request, status: int, title: str, text: str) -> Response:
        return self._html(request, "message.html", status, title=title, text=text)

    async def _login_page(self, request: Request) -> Response:
        return self._html(
            request, "login.html", next=_next(request), error=None, entered="",
            has_ended="ended" in request.query_params,
        )  # fmt: skip

    async def _login(self, request: Request) -> Response:
        form = await _form(request)
        if form is None:
            return self._message(request, 403, "Not from this page", "Sign in on /login.")
        login, password = form.get("login", ""), form.get("password", "")
        try:
            verified = await self._passwords.check(login, password)
        except TooManyLogins:
            return self._message(request, 503, "Many people sign in just now", "Try again soon.")
        response = RedirectResponse(_next(request), 303)
        if verified and await self._sessions.start(request, response, login, verified):
            return response
        wait_s = self._passwords.wait_s(login)
        error = (
            f"Too many failed tries: wait {wait_s:.0f} seconds and try again."
            if wait_s > 0
            else "Login and password do not belong together."
        )
        return self._html(
            request, "login.html", 401, next=_next(request), error=error, entered=login,
            has_ended=False,
        )  # fmt: skip

    async def _logout(self, request: Request) -> Response:
        if await _form(request) is None:
            return self._message(request, 403, "Not from this page", "Use the sign-out button.")
        response = RedirectResponse("/login", 303)
        await self._sessions.end(request, response)
        return response

    async def _patients(self, request: Request) -> Response:
        patients, more = await self._store.patients(count=_LIST_MAX)
        rows = await self._store.latest([patient.patient_id for patient in patients])
        return self._html(
            request,
            "patients.html",
            lines=_lines(patients, rows),
            columns=[name for name, _ in views.COLUMNS],
            metrics=[" ".join(metrics) for _, metrics in views.COLUMNS],
            rules=views.LIVE_RULES,
            more=more is not None,
        )

    async def _patient(self, request: Request) -> Response:
        patient_id: UUID = request.path_params["patient"]
        patients, _ = await self._store.patients(ids=[patient_id])
        if not patients:
            text = "Go back to the patient list."
            return self._message(request, 404, "There is no such patient", text)
        rows = await self._store.latest([patient_id])
        return self._html(
            request,
            "patient.html",
            patient=patients[0],
            name=views.patient_name(patients[0]),
            tiles=views.tiles(rows),
            rules=views.LIVE_RULES,
        )

    async def _unknown(self, request: Request) -> Response:
        return self._message(request, 404, "There is no such page", "Go back to the patient list.")

    async def _operations(self, request: Request) -> Response:
        reports = await self._store.ledger_report()
        return self._html(
            request,
            "operations.html",
            gateways=await self._store.gateways(),
            ledger=[views.ledger_line(report) for report in reports],
            letters=await self._store.dead_letters(),
            aside=[views.aside_line(row) for row in await self._store.quarantined()],
        )


def _lines(patients: tuple[Patient, ...], rows: tuple[LatestRow, ...]) -> list[views.PatientLine]:
    by_patient: dict[UUID, list[LatestRow]] = {}
    for row in rows:
        by_patient.setdefault(row.patient_id, []).append(row)
    return [views.patient_line(p, by_patient.get(p.patient_id, [])) for p in patients]


def _next(request: Request) -> str:
    """Where to go after signing in: a path of this site only."""
    target = request.query_params.get("next", "/")
    is_local = target.startswith("/") and not target.startswith(("//", "/\\"))
    return target if is_local else "/"


async def _form(request: Request) -> dict[str, str] | None:
    """Fields of a form posted from our own page; None when it comes from elsewhere."""
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        return None
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _FORM_MAX:
            return None
    fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
    return {name: values[0] for name, values in fields.items()}
