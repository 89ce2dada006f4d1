"""Long answers are made while they are sent: memory follows neither headers nor frames."""

import asyncio
import hashlib
import os
import tracemalloc
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from wardlight_cloud.dicomweb.access import Reach
from wardlight_cloud.dicomweb.addresses import Addresses
from wardlight_cloud.dicomweb.frames import FrameAnswers
from wardlight_cloud.dicomweb.jobs import RawFrame
from wardlight_cloud.dicomweb.metadata import Metadata
from wardlight_cloud.dicomweb.octets import Octets, held
from wardlight_cloud.dicomweb.qido import Qido
from wardlight_cloud.store.image_reads import Reader
from wardlight_cloud.store.imaging import ImageRow, InstanceRef, Level

WHO = Reach(Reader("user", "anna"), None, may_store=False)
MIB = 1 << 20
HEADER = 24 * 1024


def _ref(number: int, frames: int = 1) -> InstanceRef:
    return InstanceRef(
        "1.2", "1.2.1", f"1.2.1.{number}", "1.2.840.10008.5.1.4.1.1.2",
        "1.2.840.10008.1.2.4.70", hashlib.sha256(b"%d" % number).digest(), 1000, number, 512, 512,
        frames, "hot", datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip


class _Images:
    """An index of a series whose headers are made as they are asked for."""

    def __init__(self, count: int) -> None:
        self.refs = {ref.sop_uid: ref for ref in map(_ref, range(count))}
        self.most_at_once = 0

    async def header_sizes(self, sop_uids: Sequence[str]) -> dict[str, int]:
        return {uid: HEADER for uid in sop_uids}

    async def headers_of(self, sop_uids: Sequence[str]) -> tuple[tuple[InstanceRef, bytes], ...]:
        self.most_at_once = max(self.most_at_once, len(sop_uids))
        found = ((self.refs[uid], self._header(uid)) for uid in sop_uids)
        return tuple((ref, header) for ref, header in found)

    def _header(self, uid: str) -> bytes:
        text = orjson.dumps({
            "00080018": {"vr": "UI", "Value": [uid]},
            "00204000": {"vr": "LT", "Value": ["x" * (HEADER - 200)]},
        })  # fmt: skip
        return text.ljust(HEADER)

    async def images(self, _: Any) -> tuple[ImageRow, ...]:
        now = datetime(2026, 1, 1, tzinfo=UTC)
        return tuple(
            ImageRow("1.2", b"{}", 1, 9, ("CT",), (), None, now, 1, "1.2.1", b"{}", 9, ref, b"{}")
            for ref in self.refs.values()
        )


class _Locator:
    """Finds all that its index has."""

    def __init__(self, refs: Sequence[InstanceRef]) -> None:
        self._refs = tuple(refs)

    async def all(self, *_: Any) -> tuple[InstanceRef, ...]:
        return self._refs

    async def instance(self, *_: Any) -> InstanceRef:
        return self._refs[0]

    async def frames(self, *_: Any) -> tuple[()]:
        return ()

    async def read(self, *_: Any) -> None:
        return None


def _request(query: str = "", **path: str) -> Request:
    headers = [(b"host", b"wards.example")]
    return Request({
        "type": "http", "method": "GET", "path": "/dicom-web/x", "query_string": query.encode(),
        "headers": headers, "path_params": path, "scheme": "https", "server": ("x", 443),
    })  # fmt: skip


async def _sent(response: Response, request: Request) -> tuple[int, int]:
    """Octets of the body, and how much memory sending it took at most."""
    size = 0

    async def send(message: Any) -> None:
        nonlocal size
        size += len(message.get("body", b""))

    async def receive() -> Any:
        await asyncio.Event().wait()  # who waits for the answer says nothing

    tracemalloc.start()
    try:
        await response(request.scope, receive, send)
        return size, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


async def test_metadata_of_2000_instances_is_never_in_memory() -> None:
    """48 MiB of headers through less than 8 MiB."""
    images = _Images(2000)
    face = Metadata(images, _Locator(list(images.refs.values())), Addresses(None))  # type: ignore[arg-type]
    request = _request(study="1.2", series="1.2.1")
    size, most = await _sent(await face.metadata(request, WHO), request)
    assert size > 2000 * HEADER * 0.95
    assert most < 8 * MIB
    assert images.most_at_once <= 50


async def test_a_search_for_all_fields_of_2000_instances_is_never_in_memory() -> None:
    images = _Images(2000)
    face = Qido(images, _Locator([]), Addresses(None))  # type: ignore[arg-type]
    request = _request("includefield=all&limit=2000", study="1.2", series="1.2.1")
    answer = await face.search(request, WHO, Level.INSTANCE)
    size, most = await _sent(answer, request)
    assert size > 2000 * HEADER * 0.95
    assert most < 8 * MIB  # the whole of it would be three times 48 MiB
    assert images.most_at_once <= 50


async def test_500_decoded_frames_are_never_in_memory(tmp_path: Path) -> None:
    """One after the other, each of 1 MiB in a file that is gone when it is sent."""

    class Making:
        made = 0

        async def make(self, _: InstanceRef, making: RawFrame) -> Any:
            assert not os.listdir(tmp_path)  # noqa: PTH208 - the one before is gone
            self.made += 1
            file = tmp_path / str(making.frame)
            file.write_bytes(bytes(MIB))
            return held(file)

    making: Any = Making()
    locator: Any = _Locator([_ref(1, frames=500)])
    objects: Any = None
    face = FrameAnswers(locator, Octets(objects), making, Addresses(None))
    numbers = ",".join(map(str, range(1, 501)))
    request = _request(study="1.2", series="1.2.1", instance="1.2.1.1", frames=numbers)
    size, most = await _sent(await face.frames(request, WHO), request)
    assert size > 500 * MIB
    assert making.made == 500
    assert most < 8 * MIB


async def test_a_client_that_goes_away_ends_the_making(tmp_path: Path) -> None:
    class Making:
        made = 0

        async def make(self, *_: Any) -> bytes:
            self.made += 1
            return bytes(MIB)

    making: Any = Making()
    locator: Any = _Locator([_ref(1, frames=500)])
    objects: Any = None
    face = FrameAnswers(locator, Octets(objects), making, Addresses(None))
    request = _request(study="1.2", series="1.2.1", instance="1.2.1.1", frames="1,2,3,4,5,6,7,8")
    answer = await face.frames(request, WHO)

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def send(_: Any) -> None:
        return None

    await answer(request.scope, receive, send)
    assert making.made < 3
