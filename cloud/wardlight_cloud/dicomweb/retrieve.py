"""Whole instances: of a study, a series or one (WADO-RS; PS3.18, 10.4).

Forms   multipart/related; type="application/dicom"   each instance as a DICOM file
        application/dicom                             one instance, as it is
        application/zip                               all of them as files in an archive
Transfer syntax: as stored, unless ``transfer-syntax`` asks for Explicit VR Little Endian.
"""

from collections.abc import Sequence
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from wardlight_cloud.dicomweb.access import Reach
from wardlight_cloud.dicomweb.addresses import Addresses, instance_address
from wardlight_cloud.dicomweb.archive import ZIP, zip_answer
from wardlight_cloud.dicomweb.errors import not_acceptable
from wardlight_cloud.dicomweb.jobs import MAKER
from wardlight_cloud.dicomweb.located import Locator, require_whole
from wardlight_cloud.dicomweb.media import MediaRange, accepted
from wardlight_cloud.dicomweb.multipart import body_end, part_head, related
from wardlight_cloud.dicomweb.octets import Octets, Segment, Slice
from wardlight_cloud.dicomweb.parts import StreamedParts
from wardlight_cloud.dicomweb.representation import Representation, answer, etag_of, known
from wardlight_cloud.dicomweb.syntaxes import EXPLICIT_LITTLE
from wardlight_cloud.dicomweb.transcoded import Transcoder
from wardlight_cloud.store.imaging import InstanceRef

DICOM: Final = "application/dicom"
AS_STORED: Final = "*"


class Retrieve:
    """Answers with instances."""

    def __init__(
        self, locator: Locator, octets: Octets, transcoder: Transcoder, addresses: Addresses
    ) -> None:
        self._locator = locator
        self._octets = octets
        self._transcoder = transcoder
        self._addresses = addresses

    async def retrieve(self, request: Request, reach: Reach) -> Response:
        """All instances that the path names."""
        refs = await self._locator.all(request, reach)
        require_whole(refs)
        is_one = "instance" in request.path_params
        for wanted in accepted(request):
            if wanted.kind == ZIP:
                return zip_answer(request, self._octets, refs)
            if wanted.kind not in (DICOM, "*/*", "application/*"):
                continue
            if wanted.kind == DICOM and not wanted.is_multipart and not is_one:
                continue
            if not all(_is_served(ref, wanted) for ref in refs):
                continue
            return await self._instances(request, refs, wanted)
        raise not_acceptable(
            'Instances are served as multipart/related; type="application/dicom" with '
            "transfer-syntax=* or 1.2.840.10008.1.2.1 (where it can be made), one as "
            "application/dicom, and all as application/zip."
        )

    async def _instances(
        self, request: Request, refs: Sequence[InstanceRef], wanted: MediaRange
    ) -> Response:
        is_single = wanted.kind == DICOM and not wanted.is_multipart
        if all(_is_as_stored(ref, wanted) for ref in refs):
            if is_single:
                return answer(request, self._octets, stored(refs[0]))
            return answer(request, self._octets, self._parts(request, refs))
        if is_single:
            return await transcoded(request, self._octets, self._transcoder, refs[0])
        tag = etag_of(MAKER, EXPLICIT_LITTLE, *(ref.sha256 for ref in refs))
        parts = self._transcoder.parts(refs)
        return known(request, tag) or StreamedParts(self._octets, parts, DICOM, tag)

    def _parts(self, request: Request, refs: Sequence[InstanceRef]) -> Representation:
        root = self._addresses.root(request)
        tag = etag_of(root, *(ref.sha256 for ref in refs))
        segments: list[Segment] = []
        for ref in refs:
            kind, location = content_type(ref.transfer_syntax), instance_address(root, ref)
            segments += part_head(tag, kind, ref.size, location), Slice(ref.sha256, 0, ref.size)
        segments.append(body_end(tag))
        return Representation(segments, related(DICOM, tag), tag)


async def transcoded(
    request: Request, octets: Octets, transcoder: Transcoder, ref: InstanceRef
) -> Response:
    """One instance in Explicit VR Little Endian."""
    tag = etag_of(ref.sha256, EXPLICIT_LITTLE, MAKER)
    unchanged = known(request, tag)
    if unchanged is not None:
        return unchanged
    made = await transcoder.transcoded(ref)
    return answer(request, octets, Representation((made,), content_type(EXPLICIT_LITTLE), tag))


def stored(ref: InstanceRef) -> Representation:
    """An instance as it is stored; its ETag is the SHA-256 of the file."""
    kind = content_type(ref.transfer_syntax)
    return Representation((Slice(ref.sha256, 0, ref.size),), kind, ref.sha256.hex())


def content_type(transfer_syntax: str) -> str:
    """The Content-Type of a DICOM file."""
    return f"{DICOM}; transfer-syntax={transfer_syntax}" if transfer_syntax else DICOM


def _is_as_stored(ref: InstanceRef, wanted: MediaRange) -> bool:
    return wanted.transfer_syntax in (None, AS_STORED, ref.transfer_syntax)


def _is_served(ref: InstanceRef, wanted: MediaRange) -> bool:
    return _is_as_stored(ref, wanted) or wanted.transfer_syntax == EXPLICIT_LITTLE
