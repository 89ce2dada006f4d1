"""Batches and transactions.

A transaction is one transaction of the store: entries are deleted, created and updated together or
not at all, and a Bundle that is sent again makes nothing twice where its creates are conditional
(ifNoneExist). What it reads is read after that; where this fails, the entry says so, since all else
is done. A batch does its entries one after the other, each with a result of its own,
also where the server fails at one: who is not told what is done sends it again.

An answer has a bound, since entries that read may each show a page. What a Bundle asks for beyond
it is not read, and in a batch not done: such an entry says so (503) and can be sent again. A
transaction is done all the same; its entries then leave out the resources (return=minimal).

Errors  FhirError 400, and those of the entries (of a transaction's changes: for all of it)
Source  R4 4.0.1 3.1.0.11
"""

import asyncio
import base64
import binascii
import re
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final

import orjson

from wardlight_cloud.fhir.answers import unanswered, unforeseen
from wardlight_cloud.fhir.escapes import unescaped
from wardlight_cloud.fhir.observation_texts import instant
from wardlight_cloud.fhir.outcome import FhirError, IssueType
from wardlight_cloud.fhir.stored import incoming
from wardlight_cloud.fhir.stored.asker import Asker
from wardlight_cloud.fhir.stored.body import parsed
from wardlight_cloud.fhir.stored.bundle_reads import Headers, read_of
from wardlight_cloud.fhir.stored.bundles import bundle, response_entry
from wardlight_cloud.fhir.stored.wishes import Done, Wish
from wardlight_cloud.fhir.stored.writing import Writer
from wardlight_cloud.security.who import note_resource
from wardlight_shared.errors import StorageError

MOST_ENTRIES: Final = 1000
ANSWER_BYTES: Final = 16 << 20
"""Octets of entries of an answer after which no other one is read."""

_METHODS: Final = ("POST", "PUT", "PATCH", "DELETE", "GET", "HEAD")
_URL: Final = re.compile(r"/?(?P<kind>[A-Z][A-Za-z]{1,63})(/(?P<id>[A-Za-z0-9.-]{1,64}))?")
_ORDER: Final = {"DELETE": 0, "POST": 1, "PUT": 2, "PATCH": 3}

Get = Callable[[str, str, Headers], Awaitable[tuple[int, bytes]]]
"""Does a GET of a Bundle: path, query and conditions to status and JSON."""


class Bundling:
    """Does what the entries of a Bundle ask for."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    async def done(self, asker: Asker, value: Any, get: Get) -> bytes:
        """The Bundle with the results; ``get`` does what entries read."""
        kind, entries = _checked(value)
        if kind == "transaction":
            answers = await self._transaction(asker, entries, get)
        else:
            answers = await self._batch(asker, entries, get)
        return bundle(f"{kind}-response", answers)  # type: ignore[arg-type]

    async def _transaction(self, asker: Asker, entries: list[Any], get: Get) -> list[bytes]:
        wishes: dict[int, Wish] = {}
        for at, entry in enumerate(entries):
            wish = _wish(entry, at)
            if wish is not None:
                wishes[at] = wish
        order = sorted(wishes, key=lambda at: _ORDER[wishes[at].method])
        done = await self._writer.write(asker, [wishes[at] for at in order]) if order else []
        answers, room = dict[int, bytes](), _Room()
        for at, each in zip(order, done, strict=True):
            answers[at] = room.take(_answer(asker, each, is_short=room.is_full))
        for at, entry in enumerate(entries):
            if at not in answers:  # reads come after all changes
                answers[at] = room.take(_LATE if room.is_full else await _read(get, entry))
                await asyncio.sleep(0)
        return [answers[at] for at in range(len(entries))]

    async def _batch(self, asker: Asker, entries: list[Any], get: Get) -> list[bytes]:
        answers, room = list[bytes](), _Room()
        away: bytes | None = None
        for at, each in enumerate(entries):
            try:
                known = _LATE if room.is_full else away
                answer = known or await self._alone(asker, each, at, get)
            except StorageError as error:
                if at == 0:  # nothing is done: all of it is sent again
                    raise
                failure = unanswered(error)
                answer = _failed(failure)
                if failure.code == "transient":  # the others would wait for it, one by one
                    away = answer
            answers.append(room.take(answer))
            await asyncio.sleep(0)  # others' requests come between
        return answers

    async def _alone(self, asker: Asker, entry: Any, at: int, get: Get) -> bytes:
        try:
            wish = _wish(entry, at)
            if wish is None:
                return await _read(get, entry)
            (done,) = await self._writer.write(asker, [wish])
        except FhirError as error:
            return _failed(error)
        except StorageError:
            raise
        except Exception as error:  # noqa: BLE001 - what is done before it is to be told
            return _failed(unforeseen(error))
        return _answer(asker, done)


def _failed(error: FhirError) -> bytes:
    return response_entry({"status": _status(error.status), "outcome": error.outcome()}, None)


async def _read(get: Get, entry: Any) -> bytes:
    """What was read, or why not: an error of a transaction would deny what it has committed."""
    status, body = await get(*read_of(entry["request"]))
    if status >= 400:
        return response_entry({"status": _status(status), "outcome": orjson.loads(body)}, None)
    return response_entry({"status": _status(status)}, body or None)


def _checked(value: Any) -> tuple[str, list[Any]]:
    if not isinstance(value, dict) or value.get("resourceType") != "Bundle":
        text = "Send a Bundle of type batch or transaction; single resources go to their type."
        raise FhirError(400, "invalid", text, expression="Bundle.resourceType")
    kind, entries = value.get("type"), value.get("entry", [])
    if kind not in ("batch", "transaction"):
        text = "This server takes Bundles of type batch and transaction."
        raise FhirError(400, "invalid", text, expression="Bundle.type")
    if not isinstance(entries, list):
        raise FhirError(400, "structure", "entry is not an array.", expression="Bundle.entry")
    if len(entries) > MOST_ENTRIES:
        text = f"A Bundle has at most {MOST_ENTRIES} entries."
        raise FhirError(413, "too-costly", text, expression="Bundle.entry")
    _check_full_urls(entries)
    return kind, entries


def _check_full_urls(entries: list[Any]) -> None:
    """Refuse what two entries are called by: a reference to it could mean either (bdl-7)."""
    seen: dict[str, int] = {}
    for at, entry in enumerate(entries):
        full_url = entry.get("fullUrl") if isinstance(entry, dict) else None
        if full_url is None:
            continue
        if not isinstance(full_url, str):
            raise _refused("value", "Not a text.", at, "fullUrl")
        first = seen.setdefault(full_url, at)
        if first != at:
            text = f"Entry {first} has the same fullUrl; give each entry one of its own (bdl-7)."
            raise _refused("invariant", text, at, "fullUrl")


def _wish(entry: Any, at: int) -> Wish | None:
    """What an entry asks for; None for a GET."""
    request = entry.get("request") if isinstance(entry, dict) else None
    if not isinstance(request, dict):
        raise _refused("required", "The entry has no request.", at, "request")
    method, url = request.get("method"), request.get("url")
    if method not in _METHODS:
        raise _refused("value", f"method is one of {', '.join(_METHODS)}.", at, "request.method")
    if not isinstance(url, str):
        raise _refused("required", "The request has no url.", at, "request.url")
    if method in ("GET", "HEAD"):
        try:
            read_of(request)
        except FhirError as error:
            raise _refused(error.code, str(error), at, "request") from None
        return None
    match, mark = _match(url, at), "?" in url
    if match is None or (method == "POST" and (match["id"] or mark)):
        text = "Write the url as Type, Type/id or Type?condition, relative to this server."
        raise _refused("value", text, at, "request.url")
    kind, query = match["kind"], None
    if method != "POST" and match["id"] is None:
        query = incoming.query_of(url)
    resource, patch = entry.get("resource"), None
    if method == "PATCH":
        patch, resource = _patch_of(resource, at), None
    elif method == "DELETE":
        resource = None
    else:
        resource = _resource_of(resource, kind, at)
    condition = request.get("ifNoneExist") if method == "POST" else None
    return Wish(
        method, kind, match["id"], query, resource, patch,
        incoming.versions_of(_text(request.get("ifMatch"), at, "request.ifMatch"), "ifMatch"),
        None if condition is None else incoming.query_of(_text(condition, at, "ifNoneExist") or ""),
        f"Bundle.entry[{at}].resource.", entry.get("fullUrl"),
        incoming.versions_of(
            _text(request.get("ifNoneMatch"), at, "request.ifNoneMatch"), "ifNoneMatch"
        ),
    )  # fmt: skip


def _match(url: str, at: int) -> re.Match[str] | None:
    try:
        return _URL.fullmatch(unescaped(url.partition("?")[0], "request.url"))
    except FhirError as error:
        raise _refused(error.code, str(error), at, "request.url") from None


def _text(value: Any, at: int, element: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise _refused("value", "Not a text.", at, element)


def _resource_of(value: Any, kind: str, at: int) -> dict[str, Any]:
    try:
        return incoming.resource_of(value, kind)
    except FhirError as error:
        raise _refused(error.code, str(error), at, "resource") from None


def _patch_of(value: Any, at: int) -> Any:
    """The JSON Patch of an entry: a Binary, since an entry holds resources only (R4 3.1.0.11)."""
    data = value.get("data") if isinstance(value, dict) else None
    if not isinstance(data, str) or value.get("resourceType") != "Binary":
        text = "A patch in a Bundle is a Binary of type application/json-patch+json."
        raise _refused("structure", text, at, "resource")
    try:
        return parsed(base64.b64decode(data, validate=True))
    except (binascii.Error, ValueError):
        raise _refused("value", "The data are not base64.", at, "resource.data") from None


class _Room:
    """What is left of an answer."""

    def __init__(self) -> None:
        self._left = ANSWER_BYTES

    @property
    def is_full(self) -> bool:
        """Whether nothing else is to be read."""
        return self._left <= 0

    def take(self, entry: bytes) -> bytes:
        """The entry, which is part of the answer now."""
        self._left -= len(entry)
        return entry


def _answer(asker: Asker, done: Done, *, is_short: bool = False) -> bytes:
    response: dict[str, Any] = {"status": _status(done.status)}
    resource = None
    note_resource(asker.request.scope, done.kind, done.id, done.text or b"")
    if done.version is not None and done.updated is not None:
        response["etag"] = f'W/"{done.version}"'
        response["lastModified"] = instant(done.updated)
        if done.text is not None:
            response["location"] = f"{done.kind}/{done.id}/_history/{done.version}"
            wanted = "minimal" if is_short else incoming.wanted_return(asker.request)
            if done.is_readable and wanted == "representation":
                resource = done.text
    return response_entry(response, resource)


def _status(status: int) -> str:
    return f"{status} {HTTPStatus(status).phrase}"


def _refused(code: IssueType, diagnostics: str, at: int, element: str) -> FhirError:
    return FhirError(400, code, diagnostics, expression=f"Bundle.entry[{at}].{element}")


_LATE: Final = response_entry(
    {
        "status": _status(503),
        "outcome": FhirError(
            503, "too-costly", f"The answer has {ANSWER_BYTES} octets without this entry, which was"
            " not done. Send it again in another Bundle, or ask for less with _count.",
        ).outcome(),
    },
    None,
)  # fmt: skip
"""Of an entry that the answer has no room for."""
