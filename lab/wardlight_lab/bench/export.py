"""All Observations of many patients by `$export`, against copying as many finished JSONs to a file.

ours      `wardlight-cloud serve`, asked for `$export?_type=Observation`: from the request until the
          status says that all files are on the disk, a process that starts for it included
baseline  PostgreSQL's COPY of the same lines from a table to a file, flushed at its end
Both read the same PostgreSQL, in turn. What ours wrote is what the baseline copies, and it is
counted.

from rows     nobody asked for these days before: each Observation is made from its columns
settled days  days to which nothing came for a while, as the store keeps them once they were asked
              for; yesterday is made from its rows
last day      what came behind the `transactionTime` of a day before, by `_since`; no baseline
"""

import asyncio
import http.client
import json
import os
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import asyncpg

from wardlight_cloud.fhir.observation_form import OBSERVATIONS
from wardlight_cloud.security.tokens import new_token, token_hash
from wardlight_cloud.store.base import Store
from wardlight_cloud.store.observation_texts import PatientDay
from wardlight_lab.bench import population
from wardlight_lab.bench.figures import Aim, Row
from wardlight_lab.bench.population import Population
from wardlight_lab.bench.rounds import in_turn_async
from wardlight_lab.bench.setting import Setting, Unsound
from wardlight_lab.bench.site import Site, spent

NAME: Final = "export"
_AIM: Final = Aim(50_000)
_AGAINST: Final = "COPY of stored JSON to a file"
_ROUNDS: Final = 3
_LOOK_S: Final = 0.1
_PATIENCE_S: Final = 900.0
_DAY: Final = timedelta(days=1)
_TABLE: Final = "CREATE UNLOGGED TABLE exported_line (body text NOT NULL)"
_ASK: Final = "/fhir/$export?_type=Observation"


def measure(setting: Setting) -> Iterator[Row]:
    """The rows of this measurement."""
    yield from asyncio.run(_measure(setting))


async def _measure(setting: Setting) -> list[Row]:
    people = Population.until_today(setting.size(1000, 5), setting.size(10, 4))
    async with Site(setting.folder) as site:
        await site.start_database()
        store = await site.open_store()
        token = new_token()
        await store.put_client("bench", token_hash(token), ("system/*.rs",))
        setting.say(f"registering {people.patients} patients")
        await population.register(store, people)
        await population.ingest(store, people, setting.say)
        await site.start_api()
        contest = _Contest(site, setting, token)
        await contest.prepare()
        found = [await contest.row("from rows"), await contest.news()]
        setting.say("keeping days")
        kept = await _keep(store, people)
        await store.close()
        found.append(await contest.row(f"settled days ({kept:,} kept)"))
    return found


async def _keep(store: Store, people: Population) -> int:
    """What pages of a dashboard would have left; days must be over by a day, so not all are."""
    kept = 0
    for place in range(people.patients):
        for number in range(people.days):
            day = (people.first_day + number * _DAY).date()
            of = PatientDay(people.patient_id(place), day)
            kept += await store.keep_day(of, OBSERVATIONS)
    return kept


class _Contest:
    """Ours and the baseline, one at a time."""

    def __init__(self, site: Site, setting: Setting, token: str) -> None:
        self._site = site
        self._setting = setting
        self._client = _Client(site.http_port, token)
        self._copied = setting.folder / "copied.ndjson"
        self._count = 0
        self._octets = 0
        self._last: Mapping[str, Any] = {}

    async def prepare(self) -> None:
        """The lines that the baseline copies, which ours has made. Errors: Unsound."""
        export, _ = await self._exported()
        connection = await asyncpg.connect(self._site.dsn)
        try:
            await connection.execute(_TABLE)
            for path in self._files(export):
                with path.open(encoding="utf-8") as lines:
                    records = ((line.removesuffix("\n"),) for line in lines)
                    await connection.copy_records_to_table("exported_line", records=records)
            self._count = await connection.fetchval("SELECT count(*) FROM exported_line")
            await connection.execute("VACUUM ANALYZE exported_line")
        finally:
            await connection.close()
        await self._client.end(export)
        self._setting.say(f"{self._count:,} Observations, {self._octets / 1e9:.2f} GB")

    async def row(self, what: str) -> Row:
        """Observations a second."""
        self._setting.say(what)
        before = self._site.cpu_s()
        contenders: dict[str, Callable[[], Awaitable[float]]] = {
            "ours": self._ours, "copy": self._copy,
        }  # fmt: skip
        rounds = self._setting.size(_ROUNDS, 1)
        found = await in_turn_async(rounds, contenders)
        notes = {
            "observations": self._count,
            "bytes": self._octets,
            "api_cpu_s_an_export": round(spent(before, self._site.cpu_s())["api"] / rounds, 2),
        }
        return Row(NAME, what, "/s", found["ours"], found["copy"], _AGAINST, _AIM, notes)

    async def news(self) -> Row:
        """Observations a second of the last day's commits, one an hour."""
        connection = await asyncpg.connect(self._site.dsn)
        try:
            since = await connection.fetchval(
                "SELECT stored_at FROM commit_log ORDER BY commit_seq DESC OFFSET 24 LIMIT 1"
            )
        finally:
            await connection.close()
        rates, count = [], 0
        ask = f"{_ASK}&{urlencode({'_since': since.isoformat()})}"
        for _ in range(self._setting.size(_ROUNDS, 1)):
            started = time.perf_counter()
            export, manifest = await self._client.exported(ask)
            seconds = time.perf_counter() - started
            count = sum(each["count"] for each in manifest["output"])
            rates.append(count / seconds)
            await self._client.end(export)
        return Row(NAME, "last day, by _since", "/s", tuple(rates), notes={"observations": count})

    async def _ours(self) -> float:
        export, seconds = await self._exported()
        await self._client.end(export)
        return self._count / seconds

    async def _exported(self) -> tuple[str, float]:
        """Its path, and how long it took; that nothing is missing is looked at."""
        started = time.perf_counter()
        export, manifest = await self._client.exported()
        seconds = time.perf_counter() - started
        count = sum(each["count"] for each in manifest["output"])
        if count != (self._count or count) or manifest["error"] or manifest["deleted"]:
            raise Unsound(f"{count} Observations were exported of {self._count}")
        self._last = manifest
        self._octets = sum(path.stat().st_size for path in self._files(export))
        return export, seconds

    def _files(self, export: str) -> list[Path]:
        folder = self._site.export_folder / export.rpartition("/")[2]
        return [folder / each["url"].rpartition("/")[2] for each in self._last["output"]]

    async def _copy(self) -> float:
        connection = await asyncpg.connect(self._site.dsn)
        try:
            started = time.perf_counter()
            with self._copied.open("wb") as file:
                await connection.copy_from_query("SELECT body FROM exported_line", output=file)
                file.flush()
                os.fsync(file.fileno())
            seconds = time.perf_counter() - started
        finally:
            await connection.close()
            self._copied.unlink(missing_ok=True)
        return self._count / seconds


class _Client:
    """Asks for an export as a program does that has nothing better to do than to wait."""

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        self._headers = {"Authorization": f"Bearer {token}", "Prefer": "respond-async"}

    async def exported(self, ask: str = _ASK) -> tuple[str, dict[str, Any]]:
        """Path of an export, and its manifest. Errors: Unsound."""
        status, headers, body = await self._asked("GET", ask)
        if status != 202:
            raise Unsound(f"an export was answered with {status}: {body[:200]!r}")
        path = urlsplit(headers["content-location"]).path
        give_up_at = time.monotonic() + _PATIENCE_S
        while True:
            status, headers, body = await self._asked("GET", path)
            if status == 200:
                made: dict[str, Any] = json.loads(body)
                return path, made
            if status != 202 or time.monotonic() > give_up_at:
                raise Unsound(f"an export ended with {status}: {body[:200]!r}")
            await asyncio.sleep(_LOOK_S)

    async def end(self, path: str) -> None:
        """Remove its files."""
        await self._asked("DELETE", path)

    async def _asked(self, method: str, path: str) -> tuple[int, Mapping[str, str], bytes]:
        return await asyncio.to_thread(self._ask, method, path)

    def _ask(self, method: str, path: str) -> tuple[int, Mapping[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            connection.request(method, path, headers=self._headers)
            answer = connection.getresponse()
            return (
                answer.status,
                {name.lower(): text for name, text in answer.getheaders()},
                answer.read(),
            )
        finally:
            connection.close()
