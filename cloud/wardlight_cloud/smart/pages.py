"""The pages that a user sees on the way into an app.

An app sends the browser here from its own site, and our session cookie (SameSite=Strict) does not
come along on such a way. So the first page leads on, from our own site, to the page with the
question, and only that one looks for the session, and sends who has none to sign in.

    /oauth/authorize    where apps send the browser: checks, and leads on
    /oauth/consent      GET: the question, with a list of patients where one is to be chosen;
                        POST: the answer, which sends the browser back to the app

Everything that the question was about is checked again when it is answered.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Protocol
from urllib.parse import quote, urlencode
from uuid import UUID

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from wardlight_cloud.security.origin import is_own
from wardlight_cloud.security.sessions import Sessions
from wardlight_cloud.security.tokens import new_token, token_hash
from wardlight_cloud.smart.addresses import CONSENT, Addresses
from wardlight_cloud.smart.authorize import (
    PARAMETERS,
    AuthorizationRequest,
    answer_address,
    authorization_request,
    form_target,
    trusted_address,
)
from wardlight_cloud.smart.errors import AppError, OAuthError, RefusedApp
from wardlight_cloud.smart.forms import fields, form_of
from wardlight_cloud.smart.plain_words import sentences
from wardlight_cloud.store.authorization import AuthorizationStore, Grant, Launch
from wardlight_cloud.store.base import Patient, ReadStore
from wardlight_shared.errors import StorageError

CODE_S: Final = 60
_LISTED: Final = 50
_FIND: Final = "find_patient"
_POLICY: Final = (
    "default-src 'none'; img-src 'self'; style-src 'self'; frame-ancestors 'none'; "
    "form-action 'self' {target}; base-uri 'none'"
)
_Page = Callable[[Request], Awaitable[Response]]


class PageStore(AuthorizationStore, ReadStore, Protocol):
    """What the pages ask of the store."""


class Pages:
    """Answers the browser."""

    def __init__(self, store: PageStore, sessions: Sessions, addresses: Addresses) -> None:
        self._store = store
        self._sessions = sessions
        self._addresses = addresses
        self._templates = Environment(
            loader=PackageLoader("wardlight_cloud.smart"), autoescape=True,
            undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        )  # fmt: skip

    def answering(self, page: _Page) -> _Page:
        """The page, or one that says what is wrong."""

        async def answered(request: Request) -> Response:
            try:
                return await page(request)
            except RefusedApp as error:
                return self._message("The app cannot be opened", str(error), 400)
            except OAuthError as error:
                return self._message("The request cannot be used", str(error), error.status)
            except StorageError:
                text = "The database does not answer. Go back and try again in a moment."
                return self._message("Not now", text, 503)

        return answered

    async def arrive(self, request: Request) -> Response:
        """Where apps send the browser, by GET or POST."""
        given = await form_of(request) if request.method == "POST" else _query(request)
        parameters = _known(given)
        asked = await self._asked(request, parameters)
        if isinstance(asked, Response):
            return asked
        return self._html("onward.html", "", address=f"{CONSENT}?{urlencode(parameters)}")

    async def ask(self, request: Request) -> Response:
        """The question."""
        given = _query(request)
        parameters = _known(given)
        asked = await self._asked(request, parameters)
        if isinstance(asked, Response):
            return asked
        login = await self._sessions.login(request)
        if login is None:
            here = f"{CONSENT}?{urlencode(parameters)}"
            return RedirectResponse(f"/login?next={quote(here, safe='')}", 303)
        return await self._question(request, asked, parameters, login, given.get(_FIND, ""))

    async def decide(self, request: Request) -> Response:
        """The answer."""
        if not is_own(request):
            return self._message("Not from this page", "Open the app again.", 403)
        form = await form_of(request)
        parameters = _known(fields(form.get("request", "")))
        asked = await self._asked(request, parameters)
        if isinstance(asked, Response):
            return asked
        login = await self._sessions.login(request)
        if login is None:
            return self._message("Your session has ended", "Open the app again and sign in.", 403)
        if form.get("decision") != "allow":
            return self._refused(request, asked, AppError("access_denied", "the user said no"))
        return await self._allow(request, asked, parameters, login, form.get("patient", ""))

    async def _asked(
        self, request: Request, parameters: Mapping[str, str]
    ) -> AuthorizationRequest | Response:
        """The request, or what tells the app that it cannot be; raises RefusedApp."""
        client = await self._store.client(parameters.get("client_id", ""))
        address = trusted_address(parameters, client)
        assert client is not None  # noqa: S101 - trusted_address has refused
        try:
            return authorization_request(parameters, client, self._addresses.fhir(request))
        except AppError as error:
            return self._sent_back(request, address, parameters.get("state"), error)

    async def _question(
        self, request: Request, asked: AuthorizationRequest, parameters: Mapping[str, str],
        login: str, find: str, fault: str | None = None,
    ) -> Response:  # fmt: skip
        try:
            launch = await self._launch(asked, login)
        except AppError as error:
            return self._refused(request, asked, error)
        patients: tuple[Patient, ...] = ()
        if launch is not None:
            patients, _ = await self._store.patients(ids=[launch.patient])
        elif asked.needs_patient:
            patients, _ = await self._store.patients(family_prefix=find or None, count=_LISTED)
        return self._html(
            "consent.html", form_target(asked.redirect_uri), 200 if fault is None else 400,
            app=asked.client, login=login, sentences=sentences(asked),
            picks=asked.needs_patient and launch is None, patients=patients, find=find,
            is_full=len(patients) >= _LISTED, fault=fault, parameters=parameters,
            request=urlencode(parameters), find_name=_FIND, consent=CONSENT,
        )  # fmt: skip

    async def _allow(
        self, request: Request, asked: AuthorizationRequest, parameters: Mapping[str, str],
        login: str, chosen: str,
    ) -> Response:  # fmt: skip
        try:
            launch = await self._launch(asked, login)
            patient = launch.patient if launch is not None else None
            if asked.needs_patient and launch is None:
                patient = await self._patient(chosen)
                if patient is None:
                    fault = "Choose the patient that the app is to open with."
                    return await self._question(request, asked, parameters, login, "", fault)
            code = await self._code(request, asked, login, patient)
        except AppError as error:
            return self._refused(request, asked, error)
        iss = self._addresses.root(request)
        return _sent(answer_address(asked.redirect_uri, code=code, state=asked.state, iss=iss))

    async def _code(
        self, request: Request, asked: AuthorizationRequest, login: str, patient: UUID | None
    ) -> str:
        if asked.launch is not None and not await self._store.use_launch(token_hash(asked.launch)):
            raise _no_launch()
        scopes = asked.scopes
        if "fhirUser" in scopes and await self._store.fhir_user(login) is None:
            scopes = tuple(scope for scope in scopes if scope != "fhirUser")
        is_bound = "online_access" in scopes and "offline_access" not in scopes
        session = self._sessions.shown(request) if is_bound else None
        grant = Grant(asked.client, scopes, login, patient, asked.nonce, session)
        code = new_token()
        if not await self._store.grant_code(
            grant, token_hash(code), redirect_uri=asked.redirect_uri, challenge=asked.challenge,
            lasts_s=CODE_S,
        ):  # fmt: skip
            raise AppError("access_denied", "the user's session has ended")
        return code

    async def _launch(self, asked: AuthorizationRequest, login: str) -> Launch | None:
        """The launch context of a request that names one; raises AppError for one of others."""
        if asked.launch is None:
            return None
        found = await self._store.launch(token_hash(asked.launch))
        if found is None or found.client != asked.client or found.login not in (None, login):
            raise _no_launch()
        return found

    async def _patient(self, text: str) -> UUID | None:
        try:
            patient = UUID(text if text.isascii() else "")
        except ValueError:
            return None
        found, _ = await self._store.patients(ids=[patient])
        return patient if found else None

    def _refused(self, request: Request, asked: AuthorizationRequest, error: AppError) -> Response:
        return self._sent_back(request, asked.redirect_uri, asked.state, error)

    def _sent_back(
        self, request: Request, address: str, state: str | None, error: AppError
    ) -> Response:
        iss = self._addresses.root(request)
        told = answer_address(
            address, error=error.fault, error_description=str(error), state=state, iss=iss
        )
        return _sent(told)

    def _html(
        self, template: str, target: str, status: int = 200, **values: object
    ) -> HTMLResponse:
        page = self._templates.get_template(template).render(**values)
        policy = _POLICY.format(target=target)
        return HTMLResponse(page, status, {"Content-Security-Policy": policy})

    def _message(self, title: str, text: str, status: int) -> Response:
        return self._html("message.html", "", status, title=title, text=text)


def _query(request: Request) -> dict[str, str]:
    return fields(request.scope["query_string"].decode("latin-1"))


def _known(given: Mapping[str, str]) -> dict[str, str]:
    """Parameters of a request for authorization; others are ignored (RFC 6749, 3.1)."""
    return {name: value for name, value in given.items() if name in PARAMETERS}


def _sent(address: str) -> Response:
    return RedirectResponse(address, 303, {"Cache-Control": "no-store"})


def _no_launch() -> AppError:
    return AppError(
        "invalid_request",
        "launch: not a launch of this app by this user, or it has been used, or was made more than "
        "5 minutes ago",
    )
