"""Rendered images and thumbnails (WADO-RS; PS3.18, 10.4.1.1.3 and 10.4.1.1.6).

Forms   image/jpeg (the default), image/png; image/gif for an instance: all its frames
        application/pdf for an encapsulated PDF; text/html for a structured report
        multipart/related of these for a study or series, the first frame of each instance
Pictures are made by worker processes, once for each set of parameters, and kept while memory lasts.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Final, cast

from starlette.requests import Request
from starlette.responses import Response

from wardlight_cloud.dicomweb.access import Reach
from wardlight_cloud.dicomweb.addresses import Addresses, instance_address
from wardlight_cloud.dicomweb.bulkdata import DOCUMENT, PDF, BulkData
from wardlight_cloud.dicomweb.errors import DicomWebError, not_acceptable
from wardlight_cloud.dicomweb.gallery import Gallery
from wardlight_cloud.dicomweb.jobs import (
    MAKER,
    Icon,
    Making,
    Picture,
    PictureType,
    Report,
    Viewport,
)
from wardlight_cloud.dicomweb.located import Locator, frame_numbers, require_whole, tell_tier
from wardlight_cloud.dicomweb.media import accepted, takes
from wardlight_cloud.dicomweb.octets import Octets, Segment
from wardlight_cloud.dicomweb.parts import Part, StreamedParts
from wardlight_cloud.dicomweb.picture_parameters import PictureParameters, picture_parameters
from wardlight_cloud.dicomweb.representation import Representation, answer, etag_of, known
from wardlight_cloud.store.imaging import InstanceRef

JPEG: Final = "image/jpeg"
PNG: Final = "image/png"
GIF: Final = "image/gif"
HTML: Final = "text/html"
_PICTURES: Final = (JPEG, PNG, GIF)
_THUMBNAIL: Final = Viewport(200, 200)
_LARGEST_ICON: Final = 1024
_MOST_PARTS: Final = 100
_MODALITIES: Final = {  # letters on the thumbnail of what has no pixels
    "1.2.840.10008.5.1.4.1.1.88.": "SR", "1.2.840.10008.5.1.4.1.1.104.": "DOC",
    "1.2.840.10008.5.1.4.1.1.9.": "ECG", "1.2.840.10008.5.1.4.1.1.481.": "RT",
    "1.2.840.10008.5.1.4.1.1.11.": "PR",
}  # fmt: skip
_STATE: Final = "1.2.840.10008.5.1.4.1.1.11.1"  # grayscale softcopy presentation state
_REPORTS: Final = "1.2.840.10008.5.1.4.1.1.88."
_DOCUMENTS: Final = "1.2.840.10008.5.1.4.1.1.104."
_FRAMED: Final = {
    PDF: {"Content-Security-Policy": "default-src 'none'; frame-ancestors 'self'",
          "X-Frame-Options": "SAMEORIGIN"},
    HTML: {"Content-Security-Policy":
           "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; sandbox",
           "X-Frame-Options": "SAMEORIGIN"},
}  # fmt: skip


class Rendered:
    """Answers with pictures."""

    def __init__(
        self, locator: Locator, octets: Octets, gallery: Gallery, bulk: BulkData,
        addresses: Addresses,
    ) -> None:  # fmt: skip
        self._locator = locator
        self._octets = octets
        self._gallery = gallery
        self._bulk = bulk
        self._addresses = addresses

    async def rendered(self, request: Request, reach: Reach) -> Response:
        """What the path names, rendered."""
        asked = picture_parameters(request.query_params)
        if "instance" not in request.path_params:
            return await self._several(request, reach, asked)
        ref = await self._locator.instance(request, reach)
        if ref.sop_class == _STATE:
            return await self._presented(request, ref, asked)
        frame = self._frame(request, ref)
        return await self.instance(request, ref, asked, frame)

    async def _presented(
        self, request: Request, state: InstanceRef, asked: PictureParameters
    ) -> Response:
        """The first image that a presentation state names, as it says (PS3.18, 10.4.1.1.3)."""
        ref, frame = await self._locator.referenced(state)
        require_whole((state, ref))
        tell_tier(request, (state, ref))
        kind = takes(accepted(request), JPEG, PNG)
        if kind is None:
            raise not_acceptable(f"Presentation states are rendered as {JPEG} or {PNG}.")
        making = self._picture(kind, frame, asked)
        tag = etag_of(self._gallery.key(ref, making, state), MAKER)
        unchanged = known(request, tag)
        if unchanged is not None:
            return unchanged
        octets = await self._gallery.made(ref, making, state)
        return self._sent(request, kind, octets, asked, tag)

    async def thumbnail(self, request: Request, reach: Reach) -> Response:
        """A small picture: of a study or series its middle image."""
        asked = picture_parameters(request.query_params)
        asked = replace(asked, viewport=asked.viewport or _THUMBNAIL)
        refs = await self._locator.all(request, reach)
        shown = [ref for ref in refs if ref.frame_count] or list(refs)
        ref = shown[len(shown) // 2]
        kind = takes(accepted(request), *_PICTURES)
        if kind is None:
            raise not_acceptable(f"Thumbnails are served as {' or '.join(_PICTURES)}.")
        frame = self._frame(request, ref) or (ref.frame_count + 1) // 2
        making = self._icon(ref, kind, asked)
        if ref.frame_count:
            require_whole((ref,))
            making = self._picture(kind, frame, asked)
        return await self._answer(request, ref, kind, making, asked)

    async def instance(
        self, request: Request, ref: InstanceRef, asked: PictureParameters, frame: int | None,
        kinds: Sequence[str] | None = None,
    ) -> Response:  # fmt: skip
        """An instance, or a frame of it; ``kinds`` in place of what the request accepts."""
        require_whole((ref,))
        offered = self._offered(ref)
        kind = takes(accepted(request), *offered)
        if kinds is not None:
            kind = next((each for each in kinds if each in offered), None)
        if kind is None:
            what = " or ".join(offered) or "nothing: it has neither pixels nor text"
            raise not_acceptable(f"Rendered, this instance is served as {what}.")
        if kind == PDF:
            if await self._bulk.document_type(ref) != PDF:
                raise not_acceptable("This document is no PDF by its own word: see its bulkdata.")
            octets = await self._bulk.value(ref, DOCUMENT)
            return self._sent(request, kind, octets, asked, etag_of(ref.sha256, b"pdf"))
        making: Making = Report()
        if kind != HTML:
            is_animation = kind == GIF and frame is None and ref.frame_count > 1
            making = self._picture(kind, 0 if is_animation else frame or 1, asked)
        return await self._answer(request, ref, kind, making, asked)

    def _offered(self, ref: InstanceRef) -> tuple[str, ...]:
        if ref.frame_count:
            return _PICTURES
        if ref.sop_class.startswith(_REPORTS):
            return (HTML,)
        return (PDF,) if ref.sop_class.startswith(_DOCUMENTS) else ()

    def _picture(self, kind: str, frame: int, asked: PictureParameters) -> Making:
        picture = cast("PictureType", kind)
        return Picture(frame, picture, asked.window, asked.viewport, asked.quality)

    def _icon(self, ref: InstanceRef, kind: str, asked: PictureParameters) -> Making:
        letters = (name for start, name in _MODALITIES.items() if ref.sop_class.startswith(start))
        viewport = asked.viewport or _THUMBNAIL
        size = min(viewport.width, viewport.height, _LARGEST_ICON)
        return Icon(next(letters, "?"), size, cast("PictureType", kind))

    def _frame(self, request: Request, ref: InstanceRef) -> int | None:
        text = request.path_params.get("frames")
        if text is None:
            return None
        numbers = frame_numbers(text, ref.frame_count)
        if len(numbers) > 1:
            raise DicomWebError(400, "Rendered frames are served one by one.")
        return numbers[0]

    async def _answer(
        self, request: Request, ref: InstanceRef, kind: str, making: Making,
        asked: PictureParameters,
    ) -> Response:  # fmt: skip
        tag = etag_of(self._gallery.key(ref, making), MAKER)
        unchanged = known(request, tag)
        if unchanged is not None:
            return unchanged
        octets = await self._gallery.made(ref, making)
        return self._sent(request, kind, octets, asked, tag)

    def _sent(
        self, request: Request, kind: str, octets: Segment, asked: PictureParameters, tag: str,
    ) -> Response:  # fmt: skip
        headers: Mapping[str, str] = _FRAMED.get(kind, {})
        warning = asked.warning(self._addresses.root(request))
        if warning is not None:
            headers = {**headers, "Warning": warning}
        media_type = f"{kind}; charset=utf-8" if kind == HTML else kind
        whole = Representation((octets,), media_type, tag, headers)
        return answer(request, self._octets, whole)

    async def _several(self, request: Request, reach: Reach, asked: PictureParameters) -> Response:
        """The first frame of each image of a study or series, in parts."""
        wanted = {each.kind for each in accepted(request)}
        kind = next((each for each in (JPEG, PNG) if each in wanted), None)
        if kind is None and not wanted & {"*/*", "image/*"}:
            raise not_acceptable(f"Studies and series are rendered as parts of {JPEG} or {PNG}.")
        kind = kind or JPEG
        refs = [ref for ref in await self._locator.all(request, reach) if ref.frame_count]
        if len(refs) > _MOST_PARTS:
            raise not_acceptable(
                f"At most {_MOST_PARTS} images are rendered for one request, here are {len(refs)}: "
                "ask for instances."
            )
        require_whole(refs)
        root = self._addresses.root(request)
        making = self._picture(kind, 1, asked)
        key = self._gallery.key(None, making)
        tag = etag_of(root, key, MAKER, *(ref.sha256 for ref in refs))
        parts = self._parts(root, refs, kind, making)
        return known(request, tag) or StreamedParts(self._octets, parts, kind, tag)

    async def _parts(
        self, root: str, refs: Sequence[InstanceRef], kind: str, making: Making
    ) -> AsyncIterator[Part]:
        for ref in refs:
            octets = await self._gallery.made(ref, making)
            yield Part(kind, octets, f"{instance_address(root, ref)}/rendered")
