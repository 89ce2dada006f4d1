"""Serves the installed OHIF viewer at /ohif to those who are signed in.

Every address without a file is the viewer's page: it reads the rest of the address itself. Files
with a hash in their name never change, and browsers keep them.
"""

import mimetypes
import re
from pathlib import Path
from typing import Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Route

from wardlight_cloud.dashboard.ohif_install import LINK
from wardlight_cloud.dashboard.pages import Pages

PATH: Final = "/ohif"
_PAGE: Final = "index.html"
_POLICY: Final = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; "
    "img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; font-src 'self' data:; "
    "connect-src 'self' data: blob:; frame-src 'self' blob:; object-src 'self' blob:; "
    "frame-ancestors 'none'; form-action 'self'; base-uri 'none'"
)
"""The image codecs are WebAssembly; nothing else may make code at run time, workers included."""

_HEADERS: Final = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": _POLICY,
}
_HASHED: Final = re.compile(r"(?:^|\.)[0-9a-f]{16}\.(?:js|wasm|woff2)$")
_FOR_GOOD: Final = "private, max-age=31536000, immutable"
_ASK_AGAIN: Final = "private, no-cache"
_TYPES: Final = {".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm"}
_HOW_TO_INSTALL: Final = (
    "An operator installs it with `wardlight-cloud viewer install`. Images are shown without it, "
    "too: on the page Images."
)


class OhifPages:
    """Builds the routes. ``viewers``: the folder that `viewer install` writes into."""

    def __init__(self, pages: Pages, viewers: Path) -> None:
        self._pages = pages
        self._link = viewers / LINK

    def routes(self) -> list[Route]:
        """Routes at the root."""
        return [
            Route(PATH, self._pages.signed_in(self._start)),
            Route(f"{PATH}/{{path:path}}", self._pages.signed_in(self._file)),
        ]

    def address(self, study_uid: str) -> str | None:
        """Where OHIF shows a study; None = it is not installed."""
        if not (self._link / _PAGE).is_file():
            return None
        return f"{PATH}/viewer?StudyInstanceUIDs={quote(study_uid, safe='')}"

    async def _start(self, request: Request) -> Response:
        if not (self._link / _PAGE).is_file():
            return self._absent(request)
        return RedirectResponse("/studies", 303)

    async def _file(self, request: Request) -> Response:
        folder = self._link.resolve()
        if not (folder / _PAGE).is_file():
            return self._absent(request)
        found = _inside(folder, request.path_params["path"])
        if found is None:
            if Path(request.path_params["path"]).suffix:
                return Response("There is no such file.", 404, media_type="text/plain")
            found = folder / _PAGE
        return _answer(request, found)

    def _absent(self, request: Request) -> Response:
        title = "The OHIF viewer is not installed"
        return self._pages.message(request, 404, title, _HOW_TO_INSTALL)


def _inside(folder: Path, path: str) -> Path | None:
    """The file of an address; None where there is none inside the folder."""
    if "\0" in path or path.endswith(".gz"):
        return None
    try:
        file = (folder / path).resolve()
        return file if file.is_relative_to(folder) and file.is_file() else None
    except OSError:  # a name that no file system takes
        return None


def _answer(request: Request, file: Path) -> Response:
    kind = _TYPES.get(file.suffix) or mimetypes.guess_type(file.name)[0]
    headers = dict(_HEADERS)
    headers["Cache-Control"] = _FOR_GOOD if _HASHED.search(file.name) else _ASK_AGAIN
    packed = file.with_name(f"{file.name}.gz")
    if packed.is_file():
        headers["Vary"] = "Accept-Encoding"
        if "gzip" in request.headers.get("accept-encoding", ""):
            headers["Content-Encoding"] = "gzip"
            file = packed
    return FileResponse(file, media_type=kind or "application/octet-stream", headers=headers)
