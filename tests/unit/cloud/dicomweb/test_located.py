"""What is out of reach is answered as what is not there: whether it exists is not told.

What is remembered of an instance is of one file: places in it are never used for another one.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from support.image_rows import instance
from wardlight_cloud.dicomweb.access import Reach
from wardlight_cloud.dicomweb.bulkdata import BulkData
from wardlight_cloud.dicomweb.errors import DicomWebError, FileChangedError
from wardlight_cloud.dicomweb.guarded import Guarded
from wardlight_cloud.dicomweb.located import Frames, Locator
from wardlight_cloud.dicomweb.octets import Slice
from wardlight_cloud.security.access import Interaction
from wardlight_cloud.store.image_reads import Reader
from wardlight_cloud.store.imaging import InstanceRef

ME, OTHER = uuid4(), uuid4()
NEW = instance()
MINE = ("1", "1.1", "1.1.1")
THEIRS = ("2", "2.1", "2.1.1")
NOWHERE = ("3", "3.1", "3.1.1")


class Images:
    """Two patients, a study each."""

    async def instance(self, sop_uid: str) -> InstanceRef | None:
        found = {each[2]: _ref(*each) for each in (MINE, THEIRS)}
        return found.get(sop_uid)

    async def instances(self, study_uid: str, series_uid: str | None) -> tuple[InstanceRef, ...]:
        return tuple(_ref(*each) for each in (MINE, THEIRS) if each[0] == study_uid)

    async def patient_of_study(self, study_uid: str) -> UUID | None:
        return {"1": ME, "2": OTHER}.get(study_uid)


class Reads:
    """Who read what."""

    def __init__(self) -> None:
        self.noted: list[str] = []

    def note(self, reader: Reader, study_uid: str, face: str) -> None:
        self.noted.append(study_uid)


def _ref(study: str, series: str, sop: str) -> InstanceRef:
    header = NEW.header
    return InstanceRef(
        study, series, sop, header.sop_class, header.transfer_syntax, NEW.sha256, NEW.size, 1,
        1, 1, 1, "hot", None,  # type: ignore[arg-type]
    )  # fmt: skip


def _request(study: str, series: str = "", sop: str = "") -> Request:
    names = {"study": study, "series": series, "instance": sop}
    return Request({"type": "http", "path_params": {k: v for k, v in names.items() if v}})


async def _refusal(locator: Locator, reach: Reach, *path: str) -> tuple[int, str]:
    with pytest.raises(DicomWebError) as caught:
        await locator.all(_request(*path), reach)
    return caught.value.status, str(caught.value)


async def test_what_is_not_yours_is_as_what_is_not_there() -> None:
    images: Any = Images()
    reads: Any = Reads()
    mine = Reach(Reader("client", "app"), (ME,), may_store=False)
    locator = Locator(images, reads)
    for length in (1, 2, 3):
        theirs = await _refusal(locator, mine, *THEIRS[:length])
        assert theirs == await _refusal(locator, mine, *NOWHERE[:length])
        assert theirs[0] == 404
    # Beside an address of one's own, too.
    other = await _refusal(locator, mine, *MINE[:2], THEIRS[2])
    assert other == await _refusal(locator, mine, *MINE[:2], NOWHERE[2])
    with pytest.raises(DicomWebError) as theirs_alone:
        await locator.instance_of(THEIRS[2], mine)
    with pytest.raises(DicomWebError) as nowhere:
        await locator.instance_of(NOWHERE[2], mine)
    assert str(theirs_alone.value) == str(nowhere.value)
    assert reads.noted == []
    assert (await locator.instance(_request(*MINE), mine)).sop_uid == MINE[2]
    assert reads.noted == ["1"]


class Versions:
    """One UID with two files, of which an operator shows the other."""

    def __init__(self) -> None:
        first = _ref(*MINE)
        self.files = {first.sha256: 1000, bytes(32): 1400}
        self.refs = [first, replace(first, sha256=bytes(32))]
        self.shown = self.refs[0]

    async def instance(self, sop_uid: str) -> InstanceRef:
        return self.shown

    async def patient_of_study(self, study_uid: str) -> UUID:
        return ME

    async def frames(self, sop_uid: str, sha256: bytes) -> Frames | None:
        return (((self.files[sha256], 8),),) if sha256 == self.shown.sha256 else None

    async def bulk(self, sop_uid: str, sha256: bytes) -> Mapping[str, tuple[int, int]] | None:
        return {"00420011": (4, 4)} if sha256 == self.shown.sha256 else None

    async def headers_of(self, sop_uids: list[str]) -> list[tuple[InstanceRef, bytes]]:
        return [(self.shown, b"{}")]


async def _login(_: Request) -> object:
    return "anna"


async def test_places_in_one_file_are_never_used_for_another() -> None:
    reads: Any = Reads()
    mine = Reach(Reader("client", "app"), (ME,), may_store=False)
    for is_bulk in (False, True):
        versions = Versions()
        images: Any = versions
        nothing: Any = None
        locator = Locator(images, reads, clock=lambda: 0.0)
        bulk = BulkData(images, locator, nothing, nothing, nothing, nothing)
        asked: list[Slice] = []

        async def handler(
            request: Request, _: Reach, *, is_bulk: bool = is_bulk, asked: list[Slice] = asked,
            locator: Locator = locator, bulk: BulkData = bulk,
        ) -> Response:  # fmt: skip
            ref = await locator.instance(request, mine)
            if is_bulk:
                segment: Any = await bulk.value(ref, "00420011")
            else:
                ((start, size),) = (await locator.frames(ref))[0]
                segment = Slice(ref.sha256, start, start + size)
            asked.append(segment)
            return PlainTextResponse()

        first, other = versions.refs
        assert await locator.instance_of(MINE[2], mine) == first  # it is remembered
        versions.shown = other
        with pytest.raises(FileChangedError):
            await (bulk.value(first, "00420011") if is_bulk else locator.frames(first))
        assert await locator.instance_of(MINE[2], mine) == other
        versions.shown = first  # and back, while the other one is remembered
        status = await _status(Guarded(handler, _login, Interaction.READ, 0))
        assert status == 200
        begin = 4 if is_bulk else 1000
        assert [(each.sha256, each.start) for each in asked] == [(first.sha256, begin)]


async def _status(guarded: Guarded) -> int:
    """The status of an answer to a request for the instance."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    path = {"study": MINE[0], "series": MINE[1], "instance": MINE[2]}
    scope: Any = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b"",
                  "path_params": path}  # fmt: skip
    receive: Any = None
    await guarded(scope, receive, send)
    return int(sent[0]["status"])
