"""Storing instances (STOW-RS; PS3.18, 10.5): DICOM files as parts of a body, or as the body.

The body is never in memory: each part goes to a file while its hash runs. Files are taken in by
small groups while the next ones arrive; each has its own verdict, whatever becomes of the others.
Status  200 all stored, 202 some, 409 none; 400 no multipart body; 413, 415; 503 try again
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from wardlight_cloud.dicomweb.access import Reach, require_store
from wardlight_cloud.dicomweb.addresses import Addresses, path_uid
from wardlight_cloud.dicomweb.arriving import ArrivingFile, TooLarge
from wardlight_cloud.dicomweb.errors import DicomWebError, bad_request, not_acceptable
from wardlight_cloud.dicomweb.media import accepted, takes
from wardlight_cloud.dicomweb.multipart import (
    PART_END,
    MultipartError,
    PartHead,
    PartReader,
    boundary_of,
    kind_of,
    parameters_of,
)
from wardlight_cloud.dicomweb.storing import Arrived, Intake, Taken
from wardlight_cloud.dicomweb.stow_report import (
    CANNOT_UNDERSTAND,
    OUT_OF_RESOURCES,
    StowReport,
)
from wardlight_shared.errors import StorageError

DICOM: Final = "application/dicom"
JSON: Final = "application/dicom+json"
_GROUP_FILES: Final = 16
_GROUP_BYTES: Final = 32 << 20
_GROUPS: Final = 2  # of a request that are taken in at the same time
_FINISH_S: Final = 60.0
_MOST_PARTS: Final = 100_000
_RECEIVE_S: Final = 60.0  # a sender that says nothing for so long is given up


class Stow:
    """Answers requests to store. ``folder``: where files arrive."""

    def __init__(
        self, intake: Intake, addresses: Addresses, *, folder: Path, largest_bytes: int
    ) -> None:
        self._intake = intake
        self._addresses = addresses
        self._folder = folder
        self._largest_bytes = largest_bytes

    async def store(self, request: Request, reach: Reach) -> Response:
        """Store what the body holds."""
        require_store(reach)
        kind = takes(accepted(request), JSON, "application/json")
        if kind is None:
            raise not_acceptable(f"The report of what was stored is {JSON}.")
        study_uid = path_uid(request, "study")
        report = StowReport(self._addresses.root(request), study_uid)
        peer = request.client.host if request.client else ""
        arrival = _Arrival(self._intake, report, study_uid, peer)
        try:
            await self._receive(request, arrival)
            await arrival.settle_all()
        except ClientDisconnect as error:
            raise bad_request("The body ended early.") from error
        finally:
            await arrival.drop()
        if not report.count:
            raise bad_request("The body holds no part.")
        headers = {"Cache-Control": "no-store"}
        return Response(report.body, report.status, headers, kind)

    async def _receive(self, request: Request, arrival: "_Arrival") -> None:
        content_type = request.headers.get("content-type", "")
        kind = kind_of(content_type)
        if kind == DICOM:
            arrival.begin(self._file())
            async for octets in _body(request):
                await arrival.write(octets)
            await arrival.end()
            return
        if kind != "multipart/related":
            raise _unsupported()
        named = kind_of(parameters_of(content_type).get("type", DICOM))
        if named != DICOM:
            raise _unsupported()
        try:
            reader = PartReader(boundary_of(content_type))
        except MultipartError as error:
            raise bad_request(f"{error}.") from error
        await self._parts(request, reader, arrival)

    async def _parts(self, request: Request, reader: PartReader, arrival: "_Arrival") -> None:
        count = 0
        try:
            async with aclosing(_body(request)) as body:
                async for octets in body:
                    for event in reader.feed(octets):
                        if isinstance(event, PartHead):
                            count += 1
                            if count > _MOST_PARTS:
                                raise DicomWebError(413, f"More than {_MOST_PARTS} parts.")
                            self._begin(event, arrival)
                        elif event is PART_END:
                            await arrival.end()
                        elif isinstance(event, bytes):
                            await arrival.write(event)
            reader.finish()
        except MultipartError as error:
            # What came whole is stored all the same, and the sender is told of it.
            arrival.cut()
            if not count:
                raise bad_request(f"Not a multipart body: {error}.") from error

    def _begin(self, head: PartHead, arrival: "_Arrival") -> None:
        if kind_of(head.headers.get("content-type", DICOM)) != DICOM:
            arrival.skip(CANNOT_UNDERSTAND)
        else:
            arrival.begin(self._file())

    def _file(self) -> ArrivingFile:
        return ArrivingFile(self._folder, largest_bytes=self._largest_bytes)


class _Arrival:
    """The file that is arriving, and those that are being taken in meanwhile."""

    def __init__(
        self, intake: Intake, report: StowReport, study_uid: str | None, peer: str
    ) -> None:
        self._intake = intake
        self._report = report
        self._study_uid = study_uid
        self._peer = peer
        self._arriving: ArrivingFile | None = None
        self._whole: list[Arrived] = []
        self._taking: deque[tuple[list[Arrived], asyncio.Task[Sequence[Taken]]]] = deque()

    def begin(self, file: ArrivingFile) -> None:
        """A part begins."""
        self._arriving = file

    async def write(self, octets: bytes) -> None:
        """Octets of the part; those of one that was refused are passed over."""
        if self._arriving is None:
            return
        try:
            await self._arriving.write(octets)
        except (TooLarge, StorageError):
            self.skip(OUT_OF_RESOURCES)

    def skip(self, reason: int) -> None:
        """Refuse the part that is arriving."""
        if self._arriving is not None:
            self._arriving.drop()
            self._arriving = None
        self._report.add_failure(reason)

    async def end(self) -> None:
        """The part is whole: it waits for company, which shares a transaction with it."""
        if self._arriving is None:
            return
        try:
            file = await self._arriving.finish()
        except StorageError:
            self.skip(OUT_OF_RESOURCES)
            return
        self._arriving = None
        self._whole.append(file)
        size = sum(each.size for each in self._whole)
        if len(self._whole) >= _GROUP_FILES or size >= _GROUP_BYTES:
            self._take()
            if len(self._taking) > _GROUPS:
                await self._settle()

    def _take(self) -> None:
        """Take in what is whole, while the next files arrive."""
        files, self._whole = self._whole, []
        taking = self._intake.take(files, study_uid=self._study_uid, peer=self._peer)
        self._taking.append((files, asyncio.create_task(taking, name="stow")))

    def cut(self) -> None:
        """The body has ended within a part."""
        if self._arriving is not None:
            self.skip(CANNOT_UNDERSTAND)

    async def settle_all(self) -> None:
        """Take in the rest, and wait for every verdict."""
        if self._whole:
            self._take()
        while self._taking:
            await self._settle()

    async def _settle(self) -> None:
        files, task = self._taking[0]
        taken = await task
        self._taking.popleft()
        _remove(files)
        for each in taken:
            self._report.add(each)

    async def drop(self) -> None:
        """Remove what has no verdict; what is being taken in is let finish, or it would be half."""
        if self._arriving is not None:
            self._arriving.drop()
        _remove(self._whole)
        for files, task in self._taking:
            await asyncio.wait([task], timeout=_FINISH_S)
            _remove(files)


def _remove(files: Sequence[Arrived]) -> None:
    """What was taken in has been moved away already."""
    for file in files:
        file.file.unlink(missing_ok=True)


async def _body(request: Request) -> AsyncGenerator[bytes, None]:
    stream = aiter(request.stream())
    while True:
        try:
            async with asyncio.timeout(_RECEIVE_S):
                octets = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise DicomWebError(408, "The body did not arrive in time.") from None
        if octets:
            yield octets


def _unsupported() -> DicomWebError:
    return DicomWebError(
        415, f'Instances are taken as multipart/related; type="{DICOM}", or one as {DICOM}.'
    )
