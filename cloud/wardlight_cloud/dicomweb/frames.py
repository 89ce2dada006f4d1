"""Frames of an instance (WADO-RS; PS3.18, 10.4.1.1.4), and the samples of all of them.

Frames are cut out of the stored file by their offsets, which the index has; nothing is parsed.
Forms   multipart/related; type=<media type of the stored syntax>, or application/octet-stream
        with transfer-syntax=*: as stored, each part says its transfer syntax
        multipart/related; type=application/octet-stream: decoded, Explicit VR Little Endian
        the same types without multipart for one frame
"""

from collections.abc import AsyncIterator, Sequence
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from wardlight_cloud.dicomweb.access import Reach
from wardlight_cloud.dicomweb.addresses import Addresses, instance_address
from wardlight_cloud.dicomweb.errors import not_acceptable, not_found
from wardlight_cloud.dicomweb.jobs import MAKER, RawFrame
from wardlight_cloud.dicomweb.located import Frames, Locator, frame_numbers, require_whole
from wardlight_cloud.dicomweb.media import ANY, MediaRange, accepted
from wardlight_cloud.dicomweb.multipart import body_end, part_head, related
from wardlight_cloud.dicomweb.octets import Octets, Segment, Slice
from wardlight_cloud.dicomweb.parts import Part, StreamedParts
from wardlight_cloud.dicomweb.representation import Representation, answer, etag_of, known
from wardlight_cloud.dicomweb.syntaxes import (
    DEFLATED,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    OCTETS,
    frame_type,
    is_native,
)
from wardlight_cloud.dicomweb.workshop import Workshop
from wardlight_cloud.store.imaging import InstanceRef

_STORED: Final = "*"
_DECODED: Final = f"{OCTETS}; transfer-syntax={EXPLICIT_LITTLE}"


class FrameAnswers:
    """Answers with frames."""

    def __init__(
        self, locator: Locator, octets: Octets, workshop: Workshop, addresses: Addresses
    ) -> None:
        self._locator = locator
        self._octets = octets
        self._workshop = workshop
        self._addresses = addresses

    async def frames(self, request: Request, reach: Reach) -> Response:
        """The frames that the path names."""
        ref = await self._locator.instance(request, reach)
        if not ref.frame_count:
            raise not_found("frame; the instance has no pixels")
        numbers = frame_numbers(request.path_params["frames"], ref.frame_count)
        return await self.of(request, ref, numbers)

    async def of(self, request: Request, ref: InstanceRef, numbers: Sequence[int]) -> Response:
        """These frames, in the first form that the request accepts and the server has."""
        require_whole((ref,))
        places = await self._locator.frames(ref)
        for wanted in accepted(request):
            if not wanted.is_multipart and len(numbers) > 1 and wanted.kind != ANY:
                continue
            if _takes_stored(wanted, ref) and places:
                return self._stored(request, ref, numbers, places, wanted)
            if _takes_decoded(wanted, ref, can_cut=bool(places)):
                return await self._decoded(request, ref, numbers, wanted)
        raise not_acceptable(
            f"Frames of this instance are served as {frame_type(ref.transfer_syntax)}, as "
            f"{OCTETS} with transfer-syntax=*, and decoded as {OCTETS}."
        )

    def _stored(
        self, request: Request, ref: InstanceRef, numbers: Sequence[int], places: Frames,
        wanted: MediaRange,
    ) -> Response:  # fmt: skip
        if max(numbers) > len(places):
            raise not_found(f"frame; the file holds {len(places)}")
        kind = frame_type(ref.transfer_syntax)
        if wanted.kind == OCTETS:
            kind = OCTETS
        cut = [[Slice(ref.sha256, at, at + size) for at, size in places[n - 1]] for n in numbers]
        tag = etag_of(ref.sha256, repr((tuple(numbers), kind, wanted.is_multipart)))
        syntax = ref.transfer_syntax
        if is_native(syntax) and wanted.transfer_syntax != _STORED:
            syntax = EXPLICIT_LITTLE  # the same octets
        return self._answer(request, ref, numbers, cut, kind, syntax, wanted, tag)

    async def _decoded(
        self, request: Request, ref: InstanceRef, numbers: Sequence[int], wanted: MediaRange
    ) -> Response:
        tag = etag_of(ref.sha256, MAKER, repr((tuple(numbers), wanted.is_multipart)))
        unchanged = known(request, tag)
        if unchanged is not None:
            return unchanged
        if not wanted.is_multipart and wanted.kind != ANY:
            frame = await self._workshop.make(ref, RawFrame(numbers[0]))
            return answer(request, self._octets, Representation((frame,), _DECODED, tag))
        address = instance_address(self._addresses.root(request), ref)
        return StreamedParts(self._octets, self._parts(ref, numbers, address), OCTETS, tag)

    async def _parts(
        self, ref: InstanceRef, numbers: Sequence[int], address: str
    ) -> AsyncIterator[Part]:
        """Frames, each decoded when it is its turn."""
        for number in numbers:
            frame = await self._workshop.make(ref, RawFrame(number))
            yield Part(_DECODED, frame, f"{address}/frames/{number}")

    def _answer(
        self, request: Request, ref: InstanceRef, numbers: Sequence[int],
        frames: Sequence[Sequence[Segment]], kind: str, syntax: str, wanted: MediaRange, tag: str,
    ) -> Response:  # fmt: skip
        content_type = f"{kind}; transfer-syntax={syntax}"
        if not wanted.is_multipart and wanted.kind != ANY:
            return answer(request, self._octets, Representation(frames[0], content_type, tag))
        address = instance_address(self._addresses.root(request), ref)
        segments: list[Segment] = []
        for number, frame in zip(numbers, frames, strict=True):
            size = sum(map(len, frame))
            segments.append(part_head(tag, content_type, size, f"{address}/frames/{number}"))
            segments += frame
        segments.append(body_end(tag))
        return answer(request, self._octets, Representation(segments, related(kind, tag), tag))


def _takes_decoded(wanted: MediaRange, ref: InstanceRef, *, can_cut: bool) -> bool:
    """Whether a media range means samples; also where a native frame is nowhere in the file."""
    if wanted.kind not in (OCTETS, ANY):
        return False
    if wanted.transfer_syntax == _STORED:
        return is_native(ref.transfer_syntax) and not can_cut
    return wanted.transfer_syntax in (None, EXPLICIT_LITTLE)


def _takes_stored(wanted: MediaRange, ref: InstanceRef) -> bool:
    """Whether a media range means frames as they stand in the file."""
    syntax, kind = ref.transfer_syntax, frame_type(ref.transfer_syntax)
    is_plain = is_native(syntax) and syntax not in (EXPLICIT_BIG, DEFLATED)
    if wanted.kind == OCTETS:
        return (
            is_plain
            if wanted.transfer_syntax in (None, EXPLICIT_LITTLE)
            else wanted.transfer_syntax in (_STORED, syntax)
        )
    is_kind = wanted.kind in (ANY, kind) or (
        wanted.kind.endswith("/*") and kind.startswith(wanted.kind.removesuffix("*"))
    )
    if not is_kind or wanted.transfer_syntax not in (None, _STORED, syntax):
        return False
    return is_plain or kind != OCTETS
