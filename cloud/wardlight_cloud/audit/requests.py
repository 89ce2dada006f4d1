"""Notes each request for patients' data, and each sign-in, when its answer begins.

Who asked was noted by security/ on the way (who.py). What was asked stands in method and path;
whose data it was, in the search (``patient=``), in the path, or else in the resources of the
answer and in what the handlers noted, since an answer may be a number or leave references out.
A query that came as the form of a POST is not repeated in the trail; whom it found is.
"""

import re
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wardlight_cloud.audit.trail import AuditTrail
from wardlight_cloud.security.who import (
    answer_of,
    interaction_of,
    noted,
    patients_in,
    patients_noted,
)
from wardlight_cloud.store.audit import AuditEntry, Face

_UUID: Final = rb"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_ASKED: Final = re.compile(
    rb"(?:^|&)(?:patient|subject)(?::Patient|%3APatient)?=(?:Patient(?:/|%2F))?(" + _UUID + rb")"
    rb"(?:&|$)"
)
_SHOWN_MOST: Final = 500
_LOOKED_AT: Final = 20 << 20  # octets of an answer: no Bundle has more
_QUERY_MAX: Final = 4096
_FHIR_ACTIONS: Final = {
    "GET": ("R", "read"), "HEAD": ("R", "read"), "PUT": ("U", "update"), "PATCH": ("U", "patch"),
    "DELETE": ("D", "delete"), "POST": ("C", "create"),
}  # fmt: skip
_OPEN: Final = frozenset({"/fhir/metadata", "/login", "/logout"})
_DASHBOARD: Final = re.compile(r"/|/(?:patients|studies|operations)(?:/.*)?", re.DOTALL)
_LIVE: Final = frozenset({"/api/v1/live", "/api/v1/trend"})
_OWN_UUID: Final = re.compile(_UUID.decode())
_STUDY: Final = re.compile(r"/studies/([0-9.]{1,64})")


class What(NamedTuple):
    """What a request asks for. ``patient`` "" = its path names none."""

    face: Face
    action: str
    interaction: str
    kind: str
    resource_id: str
    patient: str = ""


class Audited:
    """ASGI middleware around the faces; ``trail`` gives None while nothing is served."""

    def __init__(
        self, app: ASGIApp, trail: Callable[[], AuditTrail | None],
        clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self._app = app
        self._trail = trail
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand one request on, and note it."""
        trail = self._trail() if scope["type"] == "http" else None
        what = None if trail is None else what_is_asked(scope["method"], scope["path"])
        if trail is None or what is None:
            await self._app(scope, receive, send)
            return
        status = -1
        is_noted = False

        async def note(message: Message) -> None:
            nonlocal status, is_noted
            if message["type"] == "http.response.start":
                status = message["status"]
            elif not is_noted:
                is_noted = True
                trail.note(self._entry(scope, what, status))
            await send(message)

        try:
            await self._app(scope, receive, note)
        finally:
            if not is_noted:
                trail.note(self._entry(scope, what, 500 if status < 0 else status))

    def _entry(self, scope: Scope, what: What, status: int) -> AuditEntry:
        client, login = noted(scope)
        query: bytes = scope["query_string"]
        address = scope["client"][0] if scope.get("client") else ""
        return AuditEntry(
            self._clock(), what.face, what.action, interaction_of(scope) or what.interaction,
            status, what.kind,
            what.resource_id, query[:_QUERY_MAX].decode("latin-1").replace("\0", ""),
            client, login, address, what.patient or _patients(what, query, status, scope),
        )  # fmt: skip


def _patients(what: What, query: bytes, status: int, scope: Scope) -> str:
    """Who is asked for, or of FHIR who is shown."""
    asked: list[bytes] = _ASKED.findall(query)
    if len(asked) == 1:
        return asked[0].decode().lower()
    if asked or status >= 400 or what.face != "fhir":
        return ",".join(sorted({each.decode().lower() for each in asked}))
    found = dict.fromkeys(patients_noted(scope) + patients_in(answer_of(scope)[:_LOOKED_AT]))
    return ",".join(list(found)[:_SHOWN_MOST])


@lru_cache(maxsize=1024)
def what_is_asked(method: str, path: str) -> What | None:
    """What a request asks for; None for what tells nobody of patients (pages' files, metadata)."""
    path = path.replace("\0", "")
    if path == "/login" and method == "POST":
        return What("sign-in", "E", "login", "", "")
    if path == "/logout" and method == "POST":
        return What("sign-in", "E", "logout", "", "")
    if path == "/oauth/token" and method == "POST":
        return What("sign-in", "E", "token", "", "")
    if path == "/oauth/authorize":
        return What("sign-in", "E", "authorize", "", "")
    if path in _OPEN or path.startswith("/fhir/.well-known/"):
        return None
    if path.startswith("/fhir/") or path == "/fhir":
        return _fhir(method, path.removeprefix("/fhir").strip("/"))
    if path.startswith("/dicom-web/"):
        return _dicomweb(method, path)
    if path in _LIVE:
        return _page("api", method, path)
    return _page("dashboard", method, path) if _DASHBOARD.fullmatch(path) else None


def _fhir(method: str, rest: str) -> What:
    kind, _, more = rest.partition("/")
    parts = more.split("/") if more else []
    action, interaction = _FHIR_ACTIONS.get(method, ("E", "operation"))
    resource_id = ""
    last = parts[-1] if parts else kind
    if last.startswith("$"):
        action, interaction = "E", "operation"
        resource_id = parts[0] if len(parts) > 1 else ""
    elif last == "_search" or (action == "R" and not parts and kind != "_history"):
        action, interaction = "E", "search-type"
    elif last == "_history":
        resource_id = parts[0] if len(parts) > 1 else ""
        interaction = "history-instance" if resource_id else "history-type"
        interaction = interaction if parts else "history-system"
    elif len(parts) == 3 and parts[1] == "_history":
        resource_id, interaction = parts[0], "vread"
    elif parts:
        resource_id = parts[0]
    elif method == "POST" and not kind:
        action, interaction = "E", "transaction"
    kind = "" if kind.startswith(("_", "$")) else kind[:64]
    patient = resource_id.lower() if kind == "Patient" and _is_uuid(resource_id) else ""
    return What("fhir", action, interaction, kind, resource_id[:64], patient)


def _dicomweb(method: str, path: str) -> What:
    study = _STUDY.search(path)
    uid = study[1] if study else ""
    if method == "POST":
        return What("dicomweb", "C", "store", "ImagingStudy", uid)
    if uid and not path.rstrip("/").endswith(("/series", "/instances")):
        return What("dicomweb", "R", "retrieve", "ImagingStudy", uid)
    return What("dicomweb", "E", "query", "ImagingStudy", uid)


def _page(face: Face, method: str, path: str) -> What:
    found, study = _OWN_UUID.search(path), _STUDY.search(path)
    patient = found[0].lower() if found and "/patients/" in path else ""
    action = "R" if method in ("GET", "HEAD") else "U"
    if study and not patient:
        return What(face, action, "view", "ImagingStudy", study[1])
    name = path[:128]
    return What(face, action, "view", "Patient" if patient else "", patient or name, patient)


def _is_uuid(text: str) -> bool:
    return _OWN_UUID.fullmatch(text) is not None
