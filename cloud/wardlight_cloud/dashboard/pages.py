"""What all pages share: templates, sessions, forms, and what is shown when something is wrong.

Forms and writing requests are protected by SameSite=Strict cookies and by the Origin header.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final
from urllib.parse import parse_qs, quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from wardlight_cloud.security.origin import is_own
from wardlight_cloud.security.sessions import Sessions
from wardlight_shared.errors import StorageError

FORM_MAX: Final = 8 * 1024
Page = Callable[[Request], Awaitable[Response]]


class Pages:
    """Renders templates and guards pages."""

    def __init__(self, sessions: Sessions) -> None:
        self.sessions = sessions
        self._templates = Environment(
            loader=PackageLoader("wardlight_cloud.dashboard"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def answering(self, page: Page) -> Page:
        """The page, or one that says that the database is away."""

        async def answer(request: Request) -> Response:
            try:
                return await page(request)
            except StorageError:
                return self.message(
                    request, 503, "The database does not answer", "Reload the page in a moment."
                )

        return answer

    def signed_in(self, page: Page) -> Page:
        """The page for those who are signed in; others are sent to sign in."""

        async def guarded(request: Request) -> Response:
            request.state.login = await self.sessions.login(request)
            if request.state.login is None:
                target = quote(request.url.path, safe="/")
                return RedirectResponse(f"/login?next={target}", 303)
            return await page(request)

        return self.answering(guarded)

    def html(
        self, request: Request, template: str, status: int = 200, **values: object
    ) -> Response:
        """A page from a template."""
        page = self._templates.get_template(template).render(
            login=getattr(request.state, "login", None),
            path=request.url.path,
            now=datetime.now(UTC),
            **values,
        )
        return HTMLResponse(page, status)

    def message(self, request: Request, status: int, title: str, text: str) -> Response:
        """A page that says one thing."""
        return self.html(request, "message.html", status, title=title, text=text)


async def body_of(request: Request, most: int) -> bytes | None:
    """The body of a request from our own page; None when it comes from elsewhere or is larger."""
    if not is_own(request):
        return None
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            return None
    return body


async def form_of(request: Request) -> dict[str, str] | None:
    """Fields of a form posted from our own page; None when it comes from elsewhere."""
    body = await body_of(request, FORM_MAX)
    if body is None:
        return None
    fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
    return {name: values[0] for name, values in fields.items()}
