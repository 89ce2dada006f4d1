"""Key-image notes as JSON, for the viewer: read, written, corrected, withdrawn.

GET   /studies/{UID}/notes                      all of them, newest first; withdrawn ones say so
POST  /studies/{UID}/notes                      a note (note_body.py), in the place of another one
POST  /studies/{UID}/notes/{id}/withdrawal      it was entered in error; it stays, and says so
"""

import re
from datetime import UTC, datetime
from typing import Final
from uuid import UUID, uuid4

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from wardlight_cloud.dashboard.note_body import BODY_MAX, NoteError, note_body
from wardlight_cloud.dashboard.pages import Page, Pages, body_of
from wardlight_cloud.store.imaging import (
    ImageQuery,
    ImageRow,
    ImageStore,
    KeyNote,
    Level,
    Match,
    Withdrawal,
)
from wardlight_shared.errors import StorageError

_NOTES_MAX: Final = 500
_UID: Final = re.compile(r"[0-9.]{1,64}")


async def rows_of(images: ImageStore, study: str) -> tuple[ImageRow, ...]:
    """The row of a study; () where there is none."""
    if _UID.fullmatch(study) is None:
        return ()
    match = Match("StudyInstanceUID", "equal", (study,))
    return await images.images(ImageQuery(Level.STUDY, matches=(match,), limit=1))


class NotePages:
    """Builds the routes."""

    def __init__(self, pages: Pages, images: ImageStore) -> None:
        self._pages = pages
        self._images = images

    def routes(self) -> list[Route]:
        """Routes at the root."""
        place = "/studies/{study}/notes"
        withdrawal = f"{place}/{{note:uuid}}/withdrawal"
        return [
            Route(place, self._answered(self._notes), methods=["GET", "POST"]),
            Route(withdrawal, self._answered(self._withdraw), methods=["POST"]),
        ]

    def _answered(self, page: Page) -> Page:
        """For those who are signed in, about a study that is there; errors are JSON."""

        async def answer(request: Request) -> Response:
            try:
                request.state.login = await self._pages.sessions.login(request)
                if request.state.login is None:
                    words = "Your session has ended. Reload the page and sign in again."
                    return _refused(401, words)
                if not await rows_of(self._images, request.path_params["study"]):
                    return _refused(404, "There is no such study.")
                return await page(request)
            except StorageError:
                return _refused(503, "The database does not answer. Try again in a moment.")

        return answer

    async def _notes(self, request: Request) -> Response:
        study = request.path_params["study"]
        if request.method in ("GET", "HEAD"):
            notes = await self._images.notes(study_uid=study, count=_NOTES_MAX)
            return JSONResponse([_as_json(note) for note in notes])
        body = await body_of(request, BODY_MAX)
        if body is None:
            return _refused(413, "The note is too large, or does not come from this page.")
        try:
            return await self._write(study, body, request.state.login)
        except NoteError as error:
            return _refused(422, str(error))

    async def _write(self, study: str, body: bytes, login: str) -> Response:
        note = note_body(body)
        image = await self._images.instance(note.sop)
        if image is None or image.study_uid != study:
            raise NoteError("The image of this note is not in this study.")
        if note.replaces is not None:
            known = await self._images.notes(study_uid=study, count=_NOTES_MAX)
            if note.replaces not in {each.note_id for each in known}:
                raise NoteError("The note that this one corrects is not in this study.")
        stored = KeyNote(
            note_id=uuid4(), study_uid=study, sop_uid=note.sop, frame=note.frame,
            text=note.text.strip(), author=login, written_at=datetime.now(UTC),
            drawing=msgspec.to_builtins(note.drawing), replaces=note.replaces,
        )  # fmt: skip
        await self._images.put_note(stored)
        return JSONResponse(_as_json(stored), 201)

    async def _withdraw(self, request: Request) -> Response:
        if await body_of(request, 0) is None:
            return _refused(403, "This does not come from this page.")
        note: UUID = request.path_params["note"]
        withdrawal = Withdrawal(datetime.now(UTC), request.state.login)
        if not await self._images.withdraw_note(note, request.path_params["study"], withdrawal):
            return _refused(404, "There is no such note on this study.")
        return Response(status_code=204)


def _as_json(note: KeyNote) -> dict[str, object]:
    withdrawn = note.withdrawn
    return {
        "id": str(note.note_id),
        "sop": note.sop_uid,
        "frame": note.frame,
        "text": note.text,
        "author": note.author,
        "written_at": note.written_at.isoformat(),
        "drawing": dict(note.drawing),
        "withdrawn": None if withdrawn is None else {
            "at": withdrawn.at.isoformat(), "by": withdrawn.by,
        },
        "replaces": None if note.replaces is None else str(note.replaces),
    }  # fmt: skip


def _refused(status: int, words: str) -> Response:
    return JSONResponse({"error": words}, status)
