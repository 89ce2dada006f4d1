"""DICOMweb of ours and of Debian's Orthanc: storing, searching, retrieving and rendering.

Both get the same files (200 studies of ten 128 KiB images, one of 200 images of 512 KiB) by the
same requests over one connection, and are then asked in turn. One API process of ours. That both
find the same studies and hold the same frames is checked before. Rows "a core" divide by the CPU
seconds that the server has used, since client and server share the machine.
Durability  ours: file and folder synced, index committed with fsync, before the answer; Orthanc:
            files synced, index written ahead without a sync for each commit
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Final

from wardlight_cloud.security.tokens import READ_ALL, STORE_IMAGES, new_token, token_hash
from wardlight_lab.bench.figures import Aim, Row, quantile
from wardlight_lab.bench.http_load import Loaded, fetch, load
from wardlight_lab.bench.image_set import ImageSet, Stored
from wardlight_lab.bench.orthanc import DURABILITY, ROOT, Orthanc
from wardlight_lab.bench.rounds import in_turn_async
from wardlight_lab.bench.setting import Setting, UnfitMachine, Unsound
from wardlight_lab.bench.site import Site, spent

NAME: Final = "dicomweb"
_AGAINST: Final = "Debian's Orthanc with orthanc-dicomweb"
_JSON: Final = "application/dicom+json"
_BOUNDARY: Final = "wardlight-bench-5d1c"
_STOW: Final = f'multipart/related; type="application/dicom"; boundary={_BOUNDARY}'
_DICOM: Final = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_FRAME: Final = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
_PNG: Final = "image/png"
_ROUNDS: Final = 3
_FILES_A_REQUEST: Final = 10
_CLIENTS: Final = 4


def measure(setting: Setting) -> Iterator[Row]:
    """The rows of this measurement."""
    yield from asyncio.run(_measure(setting))


async def _measure(setting: Setting) -> list[Row]:
    images = ImageSet(setting.size(200, 6), setting.size(10, 2), setting.size(200, 12))
    async with Site(setting.folder) as site:
        ports = {"ours": site.http_port}
        await site.start_database()
        store = await site.open_store()
        token = new_token()
        await store.put_client("bench", token_hash(token), [READ_ALL, STORE_IMAGES])
        await store.close()
        await site.start_api()
        try:
            orthanc = Orthanc(setting.folder / "orthanc")
            await site.start(orthanc.child())
            ports["orthanc"] = orthanc.http_port
        except UnfitMachine as error:
            setting.say(f"ours alone: {error}")
        contest = _Contest(site, setting, ports, token)
        rows = [await contest.store(images)]
        await contest.check()
        return rows + [row async for row in contest.rows()]


class _Contest:
    """Ours and Orthanc, both running, one asked at a time."""

    def __init__(self, site: Site, setting: Setting, ports: dict[str, int], token: str) -> None:
        self._site = site
        self._setting = setting
        self._ports = ports
        self._token = token
        self._seconds = float(setting.size(4, 1))
        self._rounds = setting.size(_ROUNDS, 1)
        self._small: list[Stored] = []
        self._large: list[Stored] = []

    async def store(self, images: ImageSet) -> Row:
        """Store everything on both; the small images are what is measured."""
        self._setting.say(f"storing {images.studies * images.images} images on both")
        rates: dict[str, list[float]] = {name: [] for name in self._ports}
        groups: list[bytes] = []
        for study in images.small():
            self._small += [stored for stored, _ in study]
            groups.append(self._stow([octets for _, octets in study]))
        before = self._site.cpu_s()
        for turn, batch in enumerate(_thirds(groups)):
            for name in sorted(self._ports, reverse=bool(turn % 2)):
                found = await self._ask(name, batch)
                rates[name].append(len(batch) * images.images / found.seconds)
        cpu_s = spent(before, self._site.cpu_s())
        large = list(images.large())
        self._large = [stored for stored, _ in large]
        for start in range(0, len(large), _FILES_A_REQUEST):
            body = self._stow([octets for _, octets in large[start : start + _FILES_A_REQUEST]])
            for name in self._ports:
                await self._ask(name, [body])
        notes = {"cpu_s": cpu_s, "orthanc_durability": DURABILITY,
                 "our_durability": "file, folder and index synced before the answer"}  # fmt: skip
        what = f"STOW-RS, 128 KiB images, {images.images} a request"
        ours, theirs = tuple(rates["ours"]), tuple(rates.get("orthanc", ()))
        return Row(NAME, what, "/s", ours, theirs, _AGAINST, Aim(150), notes)

    async def check(self) -> None:
        """Both hold the same. Errors: Unsound."""
        one = self._large[0]
        searches = [json.loads(each) for each in await self._both("/studies?limit=1000", _JSON)]
        studies = [{each["0020000D"]["Value"][0] for each in found} for found in searches]
        if not studies[0] or any(each != studies[0] for each in studies):
            raise Unsound("the two servers do not find the same studies")
        frames = [_content(each) for each in await self._both(f"{one.path}/frames/1", _FRAME)]
        if any(each != frames[0] for each in frames):
            raise Unsound("the two servers do not give the same frame")

    async def rows(self) -> AsyncIterator[Row]:
        """Every other row."""
        patients = [f"/studies?PatientID={each.patient}" for each in self._small[::7]]
        yield await self._search("QIDO-RS by PatientID, p50", patients, 4)
        yield await self._search("QIDO-RS limit=25, p50", ["/studies?limit=25"], 10)
        yield await self._search("QIDO-RS limit=200, p50", ["/studies?limit=200"], 40)
        study = f"/studies/{self._large[0].study}"
        name = f"WADO-RS metadata of {len(self._large)} instances, p50"
        yield await self._search(name, [f"{study}/metadata"], 40)
        instances = [each.path for each in self._large]
        for clients in (1, _CLIENTS):
            frames = [f"{path}/frames/1" for path in instances]
            for kind, paths, accept in (("instance", instances, _DICOM), ("frame", frames, _FRAME)):
                for row in await self._volume(kind, paths, accept, clients):
                    yield row
        cold = [
            f"{path}/rendered?window={700 + n},2000,linear" for n in range(40) for path in instances
        ]
        yield await self._pictures("rendered 512x512 PNG, first time", cold, 40)
        yield await self._pictures("rendered 512x512 PNG, again", cold[:20], 500)

    async def _search(self, what: str, paths: Sequence[str], aim_ms: float) -> Row:
        requests = [self._get(path, _JSON) for path in paths]

        async def p50(name: str) -> float:
            found = await self._load(name, requests, 1)
            return 1000 * quantile(found.latencies_s, 0.5)

        found, notes = await self._in_turn(p50)
        aim = Aim(aim_ms, at_least=False)
        return Row(NAME, what, "ms", found["ours"], found.get("orthanc", ()), _AGAINST, aim, notes)

    async def _volume(
        self, kind: str, paths: Sequence[str], accept: str, clients: int
    ) -> list[Row]:
        requests = [self._get(path, accept) for path in paths]
        a_core: dict[str, list[float]] = {name: [] for name in self._ports}

        async def rate(name: str) -> float:
            before = self._cpu_s(name)
            found = await self._load(name, requests, clients, warm=False)
            a_core[name].append(found.body_bytes / 1e6 / max(0.01, self._cpu_s(name) - before))
            return found.body_bytes / found.seconds / 1e6

        found, notes = await self._in_turn(rate)
        what = f"WADO-RS {kind}, 512 KiB, {clients} client{'s' * (clients > 1)}"
        ours, theirs = tuple(a_core["ours"]), tuple(a_core.get("orthanc", ()))
        return [
            Row(NAME, what, "MB/s", found["ours"], found.get("orthanc", ()), _AGAINST, None, notes),
            Row(NAME, f"{what}, a core", "MB/s", ours, theirs, _AGAINST, Aim(200)),
        ]

    def _cpu_s(self, name: str) -> float:
        return self._site.cpu_s()["api" if name == "ours" else name]

    async def _pictures(self, what: str, paths: Sequence[str], aim: float) -> Row:
        requests = [self._get(path, _PNG) for path in paths]
        asked = 0

        async def rate(name: str) -> float:
            nonlocal asked
            turned = requests[asked % len(requests) :] + requests[: asked % len(requests)]
            found = await self._load(name, turned, _CLIENTS, warm=len(paths) <= _CLIENTS * 5)
            asked += len(found.latencies_s)
            return found.rate

        found, notes = await self._in_turn(rate)
        return Row(
            NAME, what, "/s", found["ours"], found.get("orthanc", ()), _AGAINST, Aim(aim), notes
        )

    async def _in_turn(self, figure: Any) -> tuple[dict[str, tuple[float, ...]], dict[str, Any]]:
        before = self._site.cpu_s()
        found = await in_turn_async(
            self._rounds, {name: _bound(figure, name) for name in self._ports}
        )
        return found, {"cpu_s": spent(before, self._site.cpu_s())}

    async def _load(
        self, name: str, requests: Sequence[bytes], clients: int, *, warm: bool = True
    ) -> Loaded:
        port = self._ports[name]
        if warm:
            await load(port, requests, connections=clients, seconds=self._seconds / 5)
        return await load(port, requests, connections=clients, seconds=self._seconds)

    async def _ask(self, name: str, requests: Sequence[bytes]) -> Loaded:
        """Each request once, one after the other."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        for request in requests:
            await fetch(self._ports[name], request)
        return Loaded(loop.time() - started, [], 0)

    async def _both(self, path: str, accept: str) -> list[bytes]:
        request = self._get(path, accept)
        return [await fetch(port, request) for port in self._ports.values()]

    def _get(self, path: str, accept: str) -> bytes:
        return self._head("GET", path, accept) + b"\r\n"

    def _stow(self, files: Sequence[bytes]) -> bytes:
        part = f"--{_BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        body = b"".join(part + file + b"\r\n" for file in files) + f"--{_BOUNDARY}--\r\n".encode()
        sent = f"Content-Type: {_STOW}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        return self._head("POST", "/studies", _JSON) + sent + body

    def _head(self, method: str, path: str, accept: str) -> bytes:
        return (
            f"{method} {ROOT}{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: {accept}\r\n"
            f"Authorization: Bearer {self._token}\r\n"
        ).encode()


def _bound(figure: Any, name: str) -> Any:
    async def measured() -> float:
        return float(await figure(name))

    return measured


def _thirds(groups: list[bytes]) -> list[list[bytes]]:
    size = -(-len(groups) // _ROUNDS)
    return [groups[start : start + size] for start in range(0, len(groups), size)]


def _content(body: bytes) -> bytes:
    """The only part of a multipart body."""
    return body.partition(b"\r\n\r\n")[2].rpartition(b"\r\n--")[0]
