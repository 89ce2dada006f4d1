"""The DICOMweb face at /dicom-web: searches, retrieval, rendering and storing (PS3.18).

    GET  /studies  /series  /instances, and below a study or series        search (QIDO-RS)
    GET  /studies/{}[/series/{}[/instances/{}]]                            instances (WADO-RS)
         .../metadata  .../rendered  .../thumbnail
         .../instances/{}/frames/{}[/rendered|/thumbnail]  .../bulkdata/{}
    POST /studies[/{}]                                                     store (STOW-RS)
    GET  /wado?requestType=WADO&...                                        one object (WADO-URI)

Every request needs the session of a user or a token; nothing is deleted here.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from wardlight_cloud.dicomweb.access import Authenticate, Reach
from wardlight_cloud.dicomweb.addresses import Addresses
from wardlight_cloud.dicomweb.bulkdata import BulkData
from wardlight_cloud.dicomweb.frames import FrameAnswers
from wardlight_cloud.dicomweb.gallery import Gallery
from wardlight_cloud.dicomweb.guarded import Guarded, Handler
from wardlight_cloud.dicomweb.located import Locator
from wardlight_cloud.dicomweb.metadata import Metadata
from wardlight_cloud.dicomweb.octets import Octets
from wardlight_cloud.dicomweb.qido import Qido
from wardlight_cloud.dicomweb.rendered import Rendered
from wardlight_cloud.dicomweb.retrieve import Retrieve
from wardlight_cloud.dicomweb.storing import Intake
from wardlight_cloud.dicomweb.stow import Stow
from wardlight_cloud.dicomweb.transcoded import Transcoder
from wardlight_cloud.dicomweb.wado_uri import WadoUri
from wardlight_cloud.dicomweb.workshop import Workshop
from wardlight_cloud.imaging.reads import ReadLog
from wardlight_cloud.security.access import Interaction
from wardlight_cloud.store.imaging import ImageStore, Level
from wardlight_cloud.store.object_base import ObjectStore

_STUDY: Final = "/studies/{study}"
_SERIES: Final = "/studies/{study}/series/{series}"
_INSTANCE: Final = "/studies/{study}/series/{series}/instances/{instance}"


class DicomWebLimits:
    """What the face may use."""

    def __init__(
        self, *, processes: int = 2, decode_s: float = 20.0, decode_memory_bytes: int = 2 << 30,
        pictures_bytes: int = 64 << 20, largest_bytes: int = 8 << 30, cold_s: int | None = None,
    ) -> None:  # fmt: skip
        self.processes = processes
        self.decode_s = decode_s
        self.decode_memory_bytes = decode_memory_bytes
        self.pictures_bytes = pictures_bytes
        self.largest_bytes = largest_bytes
        self.cold_s = cold_s  # how long what lies in the second place takes; None: there is none


class DicomWebFace:
    """Builds the routes; as a context it ends the processes that decode images."""

    def __init__(
        self, images: ImageStore, objects: ObjectStore, intake: Intake, reads: ReadLog,
        authenticate: Authenticate, *, scratch: Path, base_url: str | None = None,
        limits: DicomWebLimits | None = None,
    ) -> None:  # fmt: skip
        limits = limits or DicomWebLimits()
        self._authenticate = authenticate
        self._cold_s = limits.cold_s or 0
        octets, addresses, locator = Octets(objects), Addresses(base_url), Locator(images, reads)
        self._workshop = Workshop(
            octets, scratch=scratch, processes=limits.processes, limit_s=limits.decode_s,
            memory_bytes=limits.decode_memory_bytes,
        )  # fmt: skip
        transcoder = Transcoder(self._workshop)
        self._qido = Qido(images, locator, addresses)
        self._metadata = Metadata(images, locator, addresses)
        self._retrieve = Retrieve(locator, octets, transcoder, addresses)
        self._frames = FrameAnswers(locator, octets, self._workshop, addresses)
        self._bulk = BulkData(images, locator, octets, self._workshop, self._frames, addresses)
        gallery = Gallery(self._workshop, room_bytes=limits.pictures_bytes)
        self._rendered = Rendered(locator, octets, gallery, self._bulk, addresses)
        self._uri = WadoUri(locator, octets, transcoder, self._rendered)
        self._stow = Stow(intake, addresses, folder=scratch, largest_bytes=limits.largest_bytes)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._workshop.__aexit__(kind, error, trace)

    def routes(self) -> list[BaseRoute]:
        """Routes below addresses.PATH."""
        return [*self._search_routes(), *self._retrieve_routes()]

    def _search_routes(self) -> list[BaseRoute]:
        places = {
            "/studies": Level.STUDY, "/series": Level.SERIES, "/instances": Level.INSTANCE,
            f"{_STUDY}/series": Level.SERIES, f"{_STUDY}/instances": Level.INSTANCE,
            f"{_SERIES}/instances": Level.INSTANCE,
        }  # fmt: skip
        search = Interaction.SEARCH
        found = [
            self._route(path, partial(self._qido.search, level=level), search)
            for path, level in places.items()
            if path != "/studies"
        ]
        by_method: dict[str, Handler] = {
            "GET": partial(self._qido.search, level=Level.STUDY),
            "POST": self._stow.store,
        }
        handler = _by_method(by_method)
        return [*found, self._route("/studies", handler, search, ["GET", "POST"])]

    def _retrieve_routes(self) -> list[BaseRoute]:
        rendered, thumbnail = self._rendered.rendered, self._rendered.thumbnail
        handlers: dict[str, Handler] = {}
        for place in (_SERIES, _INSTANCE):
            handlers[place] = self._retrieve.retrieve
        for place in (_STUDY, _SERIES, _INSTANCE):
            handlers[f"{place}/metadata"] = self._metadata.metadata
            handlers[f"{place}/rendered"] = rendered
            handlers[f"{place}/thumbnail"] = thumbnail
        handlers[f"{_INSTANCE}/frames/{{frames}}"] = self._frames.frames
        handlers[f"{_INSTANCE}/frames/{{frames}}/rendered"] = rendered
        handlers[f"{_INSTANCE}/frames/{{frames}}/thumbnail"] = thumbnail
        handlers[f"{_INSTANCE}/bulkdata/{{path:path}}"] = self._bulk.bulkdata
        handlers["/wado"] = self._uri.retrieve
        by_method = {"GET": self._retrieve.retrieve, "POST": self._stow.store}
        return [
            self._route(_STUDY, _by_method(by_method), methods=["GET", "POST"]),
            *(self._route(path, handler) for path, handler in handlers.items()),
        ]

    def _route(
        self, path: str, handler: Handler, interaction: Interaction = Interaction.READ,
        methods: list[str] | None = None,
    ) -> Route:  # fmt: skip
        guarded = Guarded(handler, self._authenticate, interaction, self._cold_s)
        return Route(path, guarded, methods=methods or ["GET"])


def _by_method(handlers: Mapping[str, Handler]) -> Handler:
    async def handler(request: Request, reach: Reach) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        return await handlers[method](request, reach)

    return handler
