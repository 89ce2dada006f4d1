"""Pages of images: the list of studies and the viewer of one.

/studies              newest first; a search is posted, so that no name stands in an address
/studies/{UID}        the viewer, which asks DICOMweb; a UID tells nothing of the patient
/studies/{UID}/notes  key-image notes (note_pages.py)
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Protocol
from uuid import UUID

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from wardlight_cloud.dashboard.note_pages import NotePages, rows_of
from wardlight_cloud.dashboard.pages import Pages, form_of
from wardlight_cloud.dashboard.study_people import strangers
from wardlight_cloud.dashboard.study_search import StudySearch, page_number, study_search
from wardlight_cloud.dashboard.study_views import (
    StudyLine,
    newest_first,
    study_line,
    timeline,
    waiting_line,
)
from wardlight_cloud.imaging.reads import ReadLog
from wardlight_cloud.store.base import Patient, ReadStore
from wardlight_cloud.store.image_reads import Reader
from wardlight_cloud.store.imaging import ImageQuery, ImageRow, ImageStore, Level

DICOMWEB: Final = "/dicom-web"
_PAGE: Final = 50
_OF_PATIENT: Final = 1000  # studies, and notes: more than anybody has
_AT_ONCE: Final = 100  # that are seen without opening the rest
_WAITING: Final = 100
_VIEWER_POLICY: Final = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; "
    "frame-src 'self' blob:; object-src 'self' blob:; frame-ancestors 'none'; form-action 'self'; "
    "base-uri 'none'"
)
"""As everywhere on the site, and a PDF that the viewer has loaded may be shown in a frame."""


class FullViewer(Protocol):
    """A viewer beside our own that opens a study by its address."""

    def address(self, study_uid: str) -> str | None:
        """Where it shows this study; None = it is not installed."""


class ImagePages:
    """Builds the routes; ``of_patient`` is what the patient's own page shows of images."""

    def __init__(
        self, pages: Pages, register: ReadStore, images: ImageStore, reads: ReadLog,
        full: FullViewer,
    ) -> None:  # fmt: skip
        self._pages = pages
        self._register = register
        self._images = images
        self._reads = reads
        self._full = full
        self._notes = NotePages(pages, images)

    def routes(self) -> list[Route]:
        """Routes at the root."""
        pages = self._pages
        return [
            Route("/studies", pages.signed_in(self._list), methods=["GET"]),
            Route("/studies", pages.signed_in(self._search), methods=["POST"]),
            Route("/studies/{study}", pages.signed_in(self._study), methods=["GET"]),
            *self._notes.routes(),
        ]

    async def of_patient(self, patient: UUID) -> dict[str, Any]:
        """Values of patient.html: studies, timeline, and notes as marks of the trends."""
        query = ImageQuery(Level.STUDY, patients=(patient,), limit=_OF_PATIENT + 1)
        rows = await self._images.images(query)
        notes = await self._images.notes(patient=patient, count=_OF_PATIENT + 1)
        moments = {row.study_uid: row.updated_at for row in rows}
        lines = newest_first(await self._lines(rows[:_OF_PATIENT]), moments)
        shown = notes[:_OF_PATIENT]
        return {
            "studies": lines[:_AT_ONCE],
            "older_studies": lines[_AT_ONCE:],
            "images_left_out": len(rows) > _OF_PATIENT or len(notes) > _OF_PATIENT,
            "events": timeline(lines, shown, moments),
            "note_marks": [
                {"time": note.written_at.timestamp()} for note in shown if note.withdrawn is None
            ],
            "dicomweb": DICOMWEB,
        }

    async def waiting(self) -> dict[str, Any]:
        """Values of operations.html: studies that wait for an operator, files in conflict."""
        versions = await self._images.versions()
        return {
            "waiting": [waiting_line(row) for row in await self._images.unmatched(count=_WAITING)],
            "conflicts": len({version.sop_uid for version in versions}),
            "hidden": sorted({each.study_uid for each in versions if each.is_elsewhere}),
        }

    async def _list(self, request: Request) -> Response:
        return await self._found(request, study_search({}), 0)

    async def _search(self, request: Request) -> Response:
        form = await form_of(request)
        if form is None:
            return self._pages.message(request, 403, "Not from this page", "Search on /studies.")
        if "all" in form:
            return RedirectResponse("/studies", 303)
        return await self._found(request, study_search(form), page_number(form))

    async def _found(self, request: Request, search: StudySearch, page: int) -> Response:
        query = ImageQuery(
            Level.STUDY, matches=search.matches, limit=_PAGE + 1, offset=page * _PAGE
        )
        rows = () if search.error else await self._images.images(query)
        return self._pages.html(
            request, "studies.html", 400 if search.error else 200,
            lines=await self._lines(rows[:_PAGE]), page=page, first=page * _PAGE + 1,
            has_more=len(rows) > _PAGE, fields=search.fields, error=search.error,
            is_search=bool(search.matches) or bool(search.error), dicomweb=DICOMWEB,
        )  # fmt: skip

    async def _study(self, request: Request) -> Response:
        study = request.path_params["study"]
        rows = await rows_of(self._images, study)
        if not rows:
            text = "It is not stored here, or was removed. Go back to the list of studies."
            return self._pages.message(request, 404, "There is no such study", text)
        self._reads.note(Reader("user", request.state.login), study, "viewer")
        answer = self._pages.html(
            request, "study.html", line=(await self._lines(rows))[0], dicomweb=DICOMWEB,
            full_viewer=self._full.address(study), strangers=await strangers(self._images, rows[0]),
        )  # fmt: skip
        answer.headers["Content-Security-Policy"] = _VIEWER_POLICY
        return answer

    async def _lines(self, rows: Iterable[ImageRow]) -> list[StudyLine]:
        rows = tuple(rows)
        owners = await self._owners({row.patient for row in rows if row.patient is not None})
        now = datetime.now(UTC)
        return [study_line(row, owners, now) for row in rows]

    async def _owners(self, ids: set[UUID]) -> Mapping[UUID, Patient]:
        if not ids:
            return {}
        patients, _ = await self._register.patients(ids=sorted(ids), count=len(ids))
        return {patient.patient_id: patient for patient in patients}
