"""Metadata of studies, series and instances (WADO-RS; PS3.18, 10.4.1.1.2): the stored headers.

Headers are DICOM JSON as they were made when the instance was stored. Where a large value was left
out, ``@`` becomes the address of the instance's bulkdata. They are read and sent some at a time.
"""

import re
from collections.abc import AsyncIterator, Sequence
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from wardlight_cloud.dicomweb.access import Reach
from wardlight_cloud.dicomweb.addresses import Addresses, instance_address
from wardlight_cloud.dicomweb.errors import not_acceptable, not_found
from wardlight_cloud.dicomweb.header_batches import header_batches
from wardlight_cloud.dicomweb.json_answer import json_answer, json_stream
from wardlight_cloud.dicomweb.located import Locator
from wardlight_cloud.dicomweb.media import accepted, takes
from wardlight_cloud.dicomweb.representation import etag_of, known, told
from wardlight_cloud.store.imaging import ImageStore, InstanceRef

JSON: Final = "application/dicom+json"
_END: Final = b"]"
# Quotes inside of a JSON text are escaped, so that a value cannot look like this.
_PLACE: Final = re.compile(rb'"BulkDataURI":\s?"@/')


class Metadata:
    """Answers with headers."""

    def __init__(self, images: ImageStore, locator: Locator, addresses: Addresses) -> None:
        self._images = images
        self._locator = locator
        self._addresses = addresses

    async def metadata(self, request: Request, reach: Reach) -> Response:
        """Headers of all instances that the path names, as a JSON array."""
        kind = takes(accepted(request), JSON, "application/json")
        if kind is None:
            raise not_acceptable(f"Metadata is served as {JSON}.")
        refs = await self._locator.all(request, reach)
        root = self._addresses.root(request)
        tag = etag_of(root, *(ref.sha256 for ref in refs))
        unchanged = known(request, tag)
        if unchanged is not None:
            return unchanged
        pieces = self._pieces(root, refs)
        first, second = await anext(pieces), await anext(pieces)
        if second == _END:
            return json_answer(request, first + second, told(tag), kind)
        return json_stream(request, _again((first, second), pieces), told(tag), kind)

    async def _pieces(self, root: str, refs: Sequence[InstanceRef]) -> AsyncIterator[bytes]:
        """The array in pieces: at least one header, and the end."""
        before = b"["
        async for found in header_batches(self._images, [ref.sop_uid for ref in refs]):
            yield before + b",".join(_with_addresses(root, *each) for each in found)
            before = b","
        if before == b"[":
            raise not_found("instance any more")
        yield _END


async def _again(first: Sequence[bytes], pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    for piece in first:
        yield piece
    async for piece in pieces:
        yield piece


def _with_addresses(root: str, ref: InstanceRef, header: bytes) -> bytes:
    address = f'"BulkDataURI":"{instance_address(root, ref)}/bulkdata/'.encode()
    return _PLACE.sub(lambda _: address, header)
