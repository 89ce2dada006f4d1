"""A study, series or instance as a zip archive of DICOM files, made while it is sent.

Names in it are numbers (``0001/00001.dcm``: series, instance): nothing of the patient. Members are
stored without compression, for images hardly shrink and the link is not the limit where one asks
for an archive. PS3.18 leaves application/zip to servers (8.7.3).
"""

import asyncio
import io
import zipfile
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from wardlight_cloud.dicomweb.octets import Octets, Slice
from wardlight_cloud.dicomweb.representation import REVALIDATED
from wardlight_cloud.store.imaging import InstanceRef

ZIP: Final = "application/zip"
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip archive can say


def zip_answer(request: Request, octets: Octets, refs: Sequence[InstanceRef]) -> Response:
    """The archive."""
    headers = {
        "Cache-Control": REVALIDATED,
        "Vary": "Accept, Cookie",
        "Content-Disposition": 'attachment; filename="images.zip"',
    }
    if request.method == "HEAD":
        return Response(headers=headers, media_type=ZIP)
    return StreamingResponse(_archive(octets, refs), headers=headers, media_type=ZIP)


class _Drain(io.RawIOBase):
    """Takes what the archive writes until it is sent; nothing in it is gone back to."""

    def __init__(self) -> None:
        self._octets = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, octets: object) -> int:
        self._octets += memoryview(octets)  # type: ignore[arg-type]
        return memoryview(octets).nbytes  # type: ignore[arg-type]

    def taken(self) -> bytes:
        octets = bytes(self._octets)
        self._octets.clear()
        return octets


async def _archive(octets: Octets, refs: Sequence[InstanceRef]) -> AsyncIterator[bytes]:
    drain = _Drain()
    with zipfile.ZipFile(drain, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, ref in _named(refs):
            member = zipfile.ZipInfo(name, _EPOCH)
            member.file_size = ref.size
            with archive.open(member, "w") as file:
                async for piece in octets.pieces((Slice(ref.sha256, 0, ref.size),)):
                    await asyncio.to_thread(file.write, piece)  # its checksum takes a while
                    yield drain.taken()
            yield drain.taken()
    yield drain.taken()


def _named(refs: Sequence[InstanceRef]) -> Iterator[tuple[str, InstanceRef]]:
    series: dict[str, int] = {}
    counts: dict[str, int] = {}
    for ref in refs:
        number = series.setdefault(ref.series_uid, len(series) + 1)
        counts[ref.series_uid] = counts.get(ref.series_uid, 0) + 1
        yield f"{number:04}/{counts[ref.series_uid]:05}.dcm", ref
