"""The FHIR face: which handler a request gets, and what all of them have in common.

Resources that this server makes itself are handled here and in imaging_face.py, those that are
stored as they were written in stored/. Handlers know the store's Protocol and an authenticate
function, nothing else. A plain ASGI application: responses are bytes made by templates, so there
is nothing to serialise.
"""

import string
from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial
from typing import Final, Protocol
from urllib.parse import quote

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from wardlight_cloud.fhir import asking, isolation, search
from wardlight_cloud.fhir.answers import conditional, resource_answer
from wardlight_cloud.fhir.bulk.face import EXPORT, STATUS, BulkFace, Exports
from wardlight_cloud.fhir.capability import OWN_HANDLERS, capability_statement, search_parameters
from wardlight_cloud.fhir.device_face import DeviceFace
from wardlight_cloud.fhir.encoding import FROM_BYTES, encoded
from wardlight_cloud.fhir.entrance import PATH, Authenticate, Entrance, Handler, no_such_id
from wardlight_cloud.fhir.imaging_face import ImagingFace
from wardlight_cloud.fhir.imaging_search import ImagingReads
from wardlight_cloud.fhir.looked_up import LookedUp
from wardlight_cloud.fhir.observation import observation
from wardlight_cloud.fhir.observation_form import DayKeeper
from wardlight_cloud.fhir.observation_searches import ObservationSearches
from wardlight_cloud.fhir.operations.face import Operations
from wardlight_cloud.fhir.outcome import FhirError
from wardlight_cloud.fhir.own.face import OwnFace, OwnStore
from wardlight_cloud.fhir.own.versions import OwnVersions, Versions, VersionStore
from wardlight_cloud.fhir.own_resources import OwnResources
from wardlight_cloud.fhir.rate_limits import ClientLimits
from wardlight_cloud.fhir.stored.asker import Asker
from wardlight_cloud.fhir.stored.face import StoredFace
from wardlight_cloud.fhir.stored.kinds import BESIDE_OWN, STORED, SUBSCRIPTION
from wardlight_cloud.fhir.stored.validation import Validation
from wardlight_cloud.fhir.stored.writing import Writer
from wardlight_cloud.fhir.subscriptions.ports import Bounds
from wardlight_cloud.fhir.subscriptions.subscribing import OPERATIONS, Subscribing
from wardlight_cloud.fhir.two_sources import BY_COMMIT, TwoSources
from wardlight_cloud.fhir.vocabulary import CLAIMED_PROFILES
from wardlight_cloud.security.access import Interaction
from wardlight_cloud.security.who import note_answer, note_resource, noting_patients
from wardlight_cloud.store.exports import ExportStore
from wardlight_cloud.store.observation_texts import ObservationTextStore
from wardlight_cloud.store.resources import ResourceStore
from wardlight_cloud.store.subscriptions import SubscriptionStore
from wardlight_cloud.store.told_times import ToldTimeStore

_CHANGES: Final = {
    "PUT": Interaction.UPDATE, "PATCH": Interaction.UPDATE, "DELETE": Interaction.DELETE,
}  # fmt: skip
_OF_THE_BUNDLE: Final = frozenset(
    {b"content-length", b"content-type", b"if-match", b"if-none-match", b"if-modified-since"}
)


class FhirStore(
    OwnStore, VersionStore, ObservationTextStore, ImagingReads, ResourceStore, SubscriptionStore,
    ExportStore, ToldTimeStore, Protocol,
):  # fmt: skip
    """What this face asks of the store."""


class FhirFace:
    """The ASGI application; ``base_url`` None takes scheme and host of each request.

    ``keeper`` None: no day of Observations is offered to the store. ``exports``, ``limits`` None:
    there are none. ``gzip_from`` None: answers are not compressed. ``bounds``: of subscriptions.
    ``cold_s``: how long images in the slow place take; None = there is no such place.
    ``prescribing``: clients whose MedicationRequests may be orders.
    """

    def __init__(
        self,
        store: FhirStore,
        authenticate: Authenticate,
        *,
        base_url: str | None = None,
        keeper: DayKeeper | None = None,
        exports: Exports | None = None,
        limits: ClientLimits | None = None,
        gzip_from: int | None = FROM_BYTES,
        takes_other_origins: bool = False,
        bounds: Bounds = Bounds(),  # noqa: B008 - it is frozen
        cold_s: int | None = None,
        prescribing: Collection[str] = (),
    ) -> None:
        self._store = store
        entrance = Entrance(authenticate, base_url, limits)
        self._base, self._guarded = entrance.base, entrance.guarded
        self._limits = limits
        self._gzip_from = gzip_from
        self._takes_other_origins = takes_other_origins
        self._bulk = None
        if exports is not None:
            strictly = partial(self._inner_get, is_strict=True)
            self._bulk = BulkFace(store, self._base, strictly, exports)
        self._metadata = entrance.open(self._show_metadata)
        self._refuse = self._guarded(self._unknown, None, None)
        self._refuse_nul = self._guarded(no_such_id, None, None)
        self._imaging = ImagingFace(store, self._base, cold_s)
        devices, self._own = DeviceFace(store, self._base), OwnFace(store, self._base)
        made_here = {
            "Device": devices.search, **self._own.searches(), **self._imaging.searches(),
        }  # fmt: skip
        own = OwnResources(store, made_here)
        self._validation = Validation()
        self._subscribing = Subscribing(store, bounds)
        prepare = {SUBSCRIPTION: self._subscribing.prepared}
        writer = Writer(store, self._validation, own, prepare, prescribing)
        self._stored = StoredFace(store, writer, own, LookedUp(store, own, self._inner_get))
        self._either = Versions(self._stored, OwnVersions(store, self._inner_get))
        self._observations = ObservationSearches(store, own, self._base, keeper)
        self._operations = Operations(store, self._inner_get, search_parameters)
        searches: dict[str, Handler] = {
            **{kind: self._stored_search(kind) for kind in STORED},
            "Observation": self._search_observations,
            **made_here,
        }
        for kind, known in OWN_HANDLERS.items():
            by_commit = self._imaging.by_commit if kind in BY_COMMIT else None
            both = TwoSources(kind, searches[kind], known, self._stored, self._base, by_commit)
            searches[kind] = both.search
        reads: dict[str, Handler] = {
            **{kind: self._stored_read(kind) for kind in STORED},
            "Observation": self._read_observation,
            "Device": devices.read,
            **self._own.reads(),
            **self._imaging.reads(),
        }
        self._searches = {
            kind: self._guarded(handler, kind, Interaction.SEARCH)
            for kind, handler in searches.items()
        }
        self._reads = {
            kind: self._guarded(self._with_stored(kind, handler), kind, Interaction.READ)
            for kind, handler in reads.items()
        }

    async def close(self) -> None:
        """End the process that validates."""
        await self._validation.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI 3, for paths at and below PATH."""
        noting_patients(scope)
        request = Request(scope, receive)
        response = await self._handler(scope)(request)
        note_answer(scope, response.body)
        if self._limits is not None and (access := isolation.access_or_none(request)) is not None:
            self._limits.charge(access.client, len(response.body))
        response = await encoded(scope, response, from_bytes=self._gzip_from)
        await response(scope, receive, send)

    def _handler(self, scope: Scope) -> Handler:
        """Three kinds of paths do not need a router, which costs more than a small search."""
        kind, slash, rest = scope["path"].removeprefix(PATH).removeprefix("/").partition("/")
        method = scope["method"]
        if "\0" in scope["path"]:  # PostgreSQL refuses it even as something to look for
            return self._refuse_nul
        if "$" in rest and (operation := self._operations.call(method, kind, rest)) is not None:
            call, needed = operation
            return self._asked(call, kind, needed)
        if kind == SUBSCRIPTION and rest.rpartition("/")[2] in OPERATIONS:
            return self._subscription(method, *rest.rpartition("/")[::2])
        if self._bulk is not None and (kind == STATUS or scope["path"].endswith(EXPORT)):
            path = f"{kind}{slash}{rest}"
            return self._guarded(self._bulk.handler(method, path) or self._unknown, None, None)
        if method in ("GET", "HEAD"):
            if not slash and kind != "_history":
                return self._metadata if kind == "metadata" else self._search(kind)
            if kind in self._reads and rest and "/" not in rest and rest != "_history":
                scope["path_params"] = {"id": rest}
                return self._reads[kind]
            return self._versions(kind, rest.split("/") if rest else [])
        if method == "POST" and rest == "_search":
            return self._search(kind)
        return self._change(method, kind, rest if slash else None)

    def _subscription(self, method: str, subscription_id: str, name: str) -> Handler:
        """Operations of subscriptions; what changes nothing may be asked by GET, too."""
        needed = OPERATIONS[name]
        if "/" in subscription_id or method not in (
            ("GET", "HEAD", "POST") if needed is Interaction.READ else ("POST",)
        ):
            return self._refuse
        call = partial(
            self._subscribing.operation, name=name, subscription_id=subscription_id or None
        )
        return self._asked(call, SUBSCRIPTION, needed)

    def _versions(self, kind: str, rest: list[str]) -> Handler:
        """Histories and single versions."""
        stored = self._stored
        match rest:
            case [] if kind == "_history":
                return self._asked(lambda asker: stored.history(asker, None, None), None, None)
            case ["_history"] if kind in STORED:
                call = partial(stored.history, kind=kind, resource_id=None)
                return self._asked(call, kind, Interaction.SEARCH)
            case [name, "_history"] if kind in self._reads:
                call = partial(self._either.history, kind=kind, resource_id=name)
                return self._asked(call, kind, Interaction.READ)
            case [name, "_history", version] if kind in self._reads:
                read = partial(self._either.vread, kind=kind, resource_id=name, version=version)
                return self._asked(read, kind, Interaction.READ)
        return self._refuse

    def _change(self, method: str, kind: str, resource_id: str | None) -> Handler:
        """Changes, by id or by condition; Bundles at the base."""
        stored = self._stored
        if method == "POST" and kind == "":
            return self._writing(self._bundle, None, None)
        name = resource_id or ""
        if kind not in STORED or "/" in name or name.startswith("_"):
            return self._refuse
        calls = {"PUT": stored.update, "PATCH": stored.patch, "DELETE": stored.delete}
        if method == "POST" and resource_id is None:
            return self._writing(partial(stored.create, kind=kind), kind, Interaction.CREATE)
        if method in calls:
            call = partial(calls[method], kind=kind, resource_id=resource_id or None)
            return self._writing(call, kind, _CHANGES[method])
        return self._refuse

    async def _bundle(self, asker: Asker) -> Response:
        return await self._stored.bundle(asker, partial(self._inner_get, asker.request))

    async def _inner_get(
        self,
        request: Request,
        path: str,
        query: str,
        headers: Sequence[tuple[bytes, bytes]] = (),
        *,
        is_strict: bool = False,
    ) -> tuple[int, bytes]:
        """What a GET of the same asker is answered with; ``headers``: of this GET alone."""
        kind, _, rest = path.partition("/")
        if kind == STATUS or path.endswith(EXPORT):  # a file is sent, not put into an answer
            text = (
                "Exports and their files are asked for by requests of their own, not in a Bundle."
            )
            refusal = FhirError(400, "not-supported", text)
            return refusal.status, orjson.dumps(refusal.outcome())
        note_resource(request.scope, kind, rest.partition("/")[0], b"")
        kept = [each for each in request.scope["headers"] if each[0] not in _OF_THE_BUNDLE]
        if is_strict:
            kept = [each for each in kept if each[0] != b"prefer"]
            kept.append((b"prefer", b"handling=strict"))
        scope: Scope = {
            **request.scope,
            "method": "GET",
            "path": f"{PATH}/{path}",
            # A Bundle may hold letters that a URL has escaped.
            "query_string": quote(query, safe=string.printable).encode(),
            "headers": [*kept, *headers],
        }
        response = await self._handler(scope)(Request(scope, request.receive))
        return response.status_code, bytes(response.body)

    def _writing(
        self,
        call: Callable[[Asker], Awaitable[Response]],
        kind: str | None,
        interaction: Interaction | None,
    ) -> Handler:
        if kind == SUBSCRIPTION:
            call = self._subscribing.telling_secret(call)

        return self._asked(call, kind, interaction)

    def _asked(
        self,
        call: Callable[[Asker], Awaitable[Response]],
        kind: str | None,
        interaction: Interaction | None,
    ) -> Handler:
        async def handle(request: Request) -> Response:
            return await call(Asker(request, self._base(request)))

        return self._guarded(handle, kind, interaction)

    def _stored_search(self, kind: str) -> Handler:
        async def search_stored(request: Request) -> Response:
            return await self._stored.search(Asker(request, self._base(request)), kind)

        return search_stored

    def _stored_read(self, kind: str) -> Handler:
        async def read_stored(request: Request) -> Response:
            asker = Asker(request, self._base(request))
            found = await self._stored.read(asker, kind, request.path_params["id"])
            if found is None:
                raise _not_found(kind)
            return found

        return read_stored

    def _with_stored(self, kind: str, handler: Handler) -> Handler:
        """Reads of a kind that is made here and stored, too: what is made here comes first."""
        if kind not in BESIDE_OWN or kind not in STORED:
            return handler
        read_stored = self._stored_read(kind)

        async def read_either(request: Request) -> Response:
            try:
                return await handler(request)
            except FhirError as error:
                if error.status != 404:
                    raise
            return await read_stored(request)

        return read_either

    def _search(self, kind: str) -> Handler:
        return self._searches.get(kind, self._refuse)

    async def _unknown(self, request: Request) -> Response:
        kind, _, rest = request.scope["path"].removeprefix(f"{PATH}/").partition("/")
        is_search = rest == "_search" and kind in self._searches
        if request.method in ("GET", "HEAD") or (request.method == "POST" and rest == "_search"):
            text = f"This server has {', '.join(self._searches)}; see /fhir/metadata."
            raise FhirError(404, "not-found", text)
        allowed = "POST" if is_search else "GET, HEAD"
        text = f"This server does not do this with {kind or 'its base'}; see /fhir/metadata."
        raise FhirError(405, "not-supported", text, headers={"Allow": allowed})

    async def _show_metadata(self, request: Request) -> Response:
        statement = capability_statement(
            self._base(request), CLAIMED_PROFILES, has_exports=self._bulk is not None,
            takes_other_origins=self._takes_other_origins,
        )  # fmt: skip
        return resource_answer(orjson.dumps(statement))

    async def _search_observations(self, request: Request) -> Response:
        parameters = await asking.parameters(request)
        streams = await self._own.streams.search(request, parameters)
        ecgs = streams or await self._imaging.search_ecgs(request, parameters)
        if ecgs is not None:
            return ecgs
        return await self._observations.search(request, parameters)

    async def _read_observation(self, request: Request) -> Response:
        query = isolation.observations(request, search.for_read(request.path_params["id"]))
        rows = () if query is None else (await self._store.observations(query)).rows
        if not rows:
            own = await self._own.read_clock(request) or await self._own.read_stream(request)
            ecg = own or await self._imaging.read_ecg(request)
            if ecg is not None:
                return ecg
            raise _not_found("Observation")
        row = rows[0]
        return conditional(request, observation(row), str(row.commit_seq), row.stored_at)


def _not_found(kind: str) -> FhirError:
    return FhirError(404, "not-found", f"There is no {kind} with this id.")
