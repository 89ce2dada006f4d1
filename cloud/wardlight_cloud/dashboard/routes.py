"""The pages: sign in, patient list, one patient, operations. All need a session but sign-in."""

from pathlib import Path
from typing import Final, Protocol
from uuid import UUID

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from wardlight_cloud.dashboard import views
from wardlight_cloud.dashboard.image_pages import ImagePages
from wardlight_cloud.dashboard.ohif import OhifPages
from wardlight_cloud.dashboard.pages import Pages, form_of
from wardlight_cloud.imaging.reads import ReadLog
from wardlight_cloud.security.passwords import PasswordChecker, TooManyLogins
from wardlight_cloud.security.sessions import Sessions
from wardlight_cloud.security.who import note_login
from wardlight_cloud.store.base import LatestRow, Patient, ReadStore, RegisterStore
from wardlight_cloud.store.blobs_aside import BlobAsideStore
from wardlight_cloud.store.imaging import ImageStore
from wardlight_cloud.store.quarantine import QuarantineStore

_STATIC: Final = Path(__file__).parent / "static"
_LIST_MAX: Final = 500
_FILES_ASIDE: Final = 100


class DashboardStore(ReadStore, RegisterStore, QuarantineStore, BlobAsideStore, Protocol):
    """What the pages need of the store."""


class DashboardRoutes:
    """Builds the routes. ``viewers`` is the folder where OHIF is installed."""

    def __init__(
        self,
        store: DashboardStore,
        images: ImageStore,
        sessions: Sessions,
        passwords: PasswordChecker,
        reads: ReadLog,
        *,
        viewers: Path,
    ) -> None:
        self._store = store
        self._sessions = sessions
        self._passwords = passwords
        self._pages = Pages(sessions)
        self._ohif = OhifPages(self._pages, viewers)
        self._images = ImagePages(self._pages, store, images, reads, self._ohif)

    def routes(self) -> list[Route | Mount]:
        """Routes at the root."""
        pages = self._pages
        return [
            Mount("/static", StaticFiles(directory=_STATIC)),
            Route("/login", pages.answering(self._login_page), methods=["GET"]),
            Route("/login", pages.answering(self._login), methods=["POST"]),
            Route("/logout", pages.answering(self._logout), methods=["POST"]),
            Route("/", pages.signed_in(self._patients)),
            Route("/patients/{patient:uuid}", pages.signed_in(self._patient)),
            Route("/operations", pages.signed_in(self._operations)),
            *self._images.routes(),
            *self._ohif.routes(),
            Route("/{path:path}", pages.answering(self._unknown)),  # the last route of the site
        ]

    async def _login_page(self, request: Request) -> Response:
        return self._pages.html(
            request, "login.html", next=_next(request), error=None, entered="",
            has_ended="ended" in request.query_params,
        )  # fmt: skip

    async def _login(self, request: Request) -> Response:
        form = await form_of(request)
        if form is None:
            return self._pages.message(request, 403, "Not from this page", "Sign in on /login.")
        login, password = form.get("login", ""), form.get("password", "")
        note_login(request, login)
        try:
            verified = await self._passwords.check(login, password)
        except TooManyLogins:
            return self._pages.message(
                request, 503, "Many people sign in just now", "Try again soon."
            )
        response = RedirectResponse(_next(request), 303)
        if verified and await self._sessions.start(request, response, login, verified):
            return response
        wait_s = self._passwords.wait_s(login)
        error = (
            f"Too many failed tries: wait {wait_s:.0f} seconds and try again."
            if wait_s > 0
            else "Login and password do not belong together."
        )
        return self._pages.html(
            request, "login.html", 401, next=_next(request), error=error, entered=login,
            has_ended=False,
        )  # fmt: skip

    async def _logout(self, request: Request) -> Response:
        if await form_of(request) is None:
            return self._pages.message(
                request, 403, "Not from this page", "Use the sign-out button."
            )
        await self._sessions.login(request)  # who it is, for the audit trail
        response = RedirectResponse("/login", 303)
        await self._sessions.end(request, response)
        return response

    async def _patients(self, request: Request) -> Response:
        patients, more = await self._store.patients(count=_LIST_MAX)
        rows = await self._store.latest([patient.patient_id for patient in patients])
        return self._pages.html(
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
            return self._pages.message(request, 404, "There is no such patient", text)
        rows = await self._store.latest([patient_id])
        return self._pages.html(
            request,
            "patient.html",
            patient=patients[0],
            name=views.patient_name(patients[0]),
            tiles=views.tiles(rows),
            rules=views.LIVE_RULES,
            **await self._images.of_patient(patient_id),
        )

    async def _unknown(self, request: Request) -> Response:
        return self._pages.message(
            request, 404, "There is no such page", "Go back to the patient list."
        )

    async def _operations(self, request: Request) -> Response:
        reports = await self._store.ledger_report()
        files_aside = await self._store.blobs_aside(count=_FILES_ASIDE + 1)
        return self._pages.html(
            request,
            "operations.html",
            gateways=await self._store.gateways(),
            ledger=[views.ledger_line(report) for report in reports],
            letters=await self._store.dead_letters(),
            aside=[views.aside_line(row) for row in await self._store.quarantined()],
            files_aside=[views.file_aside_line(blob) for blob in files_aside[:_FILES_ASIDE]],
            has_more_aside=len(files_aside) > _FILES_ASIDE,
            **await self._images.waiting(),
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
