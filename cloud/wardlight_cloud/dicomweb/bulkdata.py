"""Large values of an instance (WADO-RS; PS3.18, 10.4.1.1.5), by the tags on the way to them.

.../bulkdata/7FE00010                  all frames, each in a part when they are encapsulated
.../bulkdata/54000100/0/54001010       samples of the first waveform
.../bulkdata/00420011                  an encapsulated document, as what it is
"""

import re
from typing import Final

import orjson
from starlette.requests import Request
from starlette.responses import Response

from wardlight_cloud.dicomweb.access import Reach
from wardlight_cloud.dicomweb.addresses import Addresses
from wardlight_cloud.dicomweb.errors import bad_request, not_acceptable
from wardlight_cloud.dicomweb.frames import FrameAnswers
from wardlight_cloud.dicomweb.jobs import BulkValue
from wardlight_cloud.dicomweb.located import Locator, require_whole
from wardlight_cloud.dicomweb.media import MediaRange, accepted
from wardlight_cloud.dicomweb.multipart import body_end, part_head, related
from wardlight_cloud.dicomweb.octets import Octets, Segment, Slice, cut
from wardlight_cloud.dicomweb.representation import Representation, answer, etag_of
from wardlight_cloud.dicomweb.syntaxes import EXPLICIT_BIG, OCTETS
from wardlight_cloud.dicomweb.workshop import Workshop
from wardlight_cloud.store.imaging import ImageStore, InstanceRef

PIXELS: Final = "7FE00010"
DOCUMENT: Final = "00420011"
PDF: Final = "application/pdf"
_PATH: Final = re.compile(r"[0-9A-F]{8}(/[0-9]{1,6}/[0-9A-F]{8}){0,16}")
_FRAME: Final = {"Content-Security-Policy": "default-src 'none'; frame-ancestors 'self'",
                 "X-Frame-Options": "SAMEORIGIN"}  # fmt: skip


class BulkData:
    """Answers with values."""

    def __init__(
        self, images: ImageStore, locator: Locator, octets: Octets, workshop: Workshop,
        frames: FrameAnswers, addresses: Addresses,
    ) -> None:  # fmt: skip
        self._images = images
        self._locator = locator
        self._octets = octets
        self._workshop = workshop
        self._frames = frames
        self._addresses = addresses

    async def bulkdata(self, request: Request, reach: Reach) -> Response:
        """The value that the path names."""
        ref = await self._locator.instance(request, reach)
        text = request.path_params["path"].upper()
        if _PATH.fullmatch(text) is None:
            raise bad_request("bulkdata: expected tags of eight hex digits and item numbers")
        if text == PIXELS and ref.frame_count:
            return await self._frames.of(request, ref, range(1, ref.frame_count + 1))
        kind = await self.document_type(ref) if text == DOCUMENT else OCTETS
        wanted = _wanted(request, kind)
        return self._answer(request, ref, await self.value(ref, text), kind, wanted, text)

    async def value(self, ref: InstanceRef, path: str) -> Segment:
        """A value: where it stands in the file, else cut out by a worker process."""
        require_whole((ref,))
        place = None
        if ref.transfer_syntax != EXPLICIT_BIG:
            places = await self._images.bulk(ref.sop_uid, ref.sha256)
            if places is None:
                raise self._locator.changed(ref)
            place = places.get(path)
        if place is not None:
            segment: Segment = Slice(ref.sha256, place[0], sum(place))
        else:
            segment = await self._workshop.make(ref, BulkValue(tuple(path.split("/"))))
        return await self._unpadded(ref, segment) if path == DOCUMENT else segment

    async def _unpadded(self, ref: InstanceRef, value: Segment) -> Segment:
        """A document without the octet that makes its length even, where the file tells its own."""
        size = (await self._attributes(ref)).get("00420015", {}).get("Value", [len(value)])[0]
        return value if size != len(value) - 1 else cut(value, 0, len(value) - 1)

    async def document_type(self, ref: InstanceRef) -> str:
        """The media type of an encapsulated document; only PDF is told to a browser."""
        named = (await self._attributes(ref)).get("00420012", {}).get("Value", [""])[0]
        return PDF if str(named).strip().lower() == PDF else OCTETS

    async def _attributes(self, ref: InstanceRef) -> dict[str, dict[str, list[object]]]:
        found = await self._images.headers_of([ref.sop_uid])
        if not found or found[0][0].sha256 != ref.sha256:
            raise self._locator.changed(ref)
        attributes: dict[str, dict[str, list[object]]] = orjson.loads(found[0][1])
        return attributes

    def _answer(
        self, request: Request, ref: InstanceRef, octets: Segment, kind: str, wanted: MediaRange,
        path: str,
    ) -> Response:  # fmt: skip
        tag = etag_of(ref.sha256, path, repr(wanted.is_multipart))
        headers = _FRAME if kind == PDF else {}
        if not wanted.is_multipart:
            whole = Representation((octets,), kind, tag, headers=headers)
            return answer(request, self._octets, whole)
        root = self._addresses.root(request)
        place = f"{root}{request.scope['path'].partition('/dicom-web')[2]}"
        segments: tuple[Segment, ...] = (
            part_head(tag, kind, len(octets), place),
            octets,
            body_end(tag),
        )
        return answer(request, self._octets, Representation(segments, related(kind, tag), tag))


def _wanted(request: Request, kind: str) -> MediaRange:
    """The first media range that takes the value; ``*/*`` takes it as it is."""
    for wanted in accepted(request):
        if wanted.kind in (kind, OCTETS, "*/*", f"{kind.partition('/')[0]}/*"):
            return wanted
    raise not_acceptable(f"This value is served as {kind}.")
