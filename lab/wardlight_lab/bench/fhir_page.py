"""A page of 100 Observations by patient, category and date, against the shortest way to 100 JSONs.

ours      `wardlight-cloud serve`, one worker: token, parameters, search by columns, templates
baseline  bare_asgi.py: the same resources as finished JSON, one prepared statement, joined
Both read the same PostgreSQL (1,000 patients, 2 million readings), with the same uvicorn settings,
asked in turn by the same client over 1, 8 and 32 connections. That both give the same resources is
checked before.

kept days          three days that were asked for before: the store kept them
days written anew  the same, by a process that keeps nothing (fhir.keep_days = false): each page
                   out of rows, as whoever asks first gets it
"""

import asyncio
import json
from collections.abc import Iterator
from typing import Any, Final

import asyncpg

from wardlight_cloud.security.tokens import new_token, token_hash
from wardlight_lab.bench import population
from wardlight_lab.bench.fhir_pages import (
    ANEW,
    DAY,
    DAYS,
    KEPT,
    PAGE,
    query,
    resources,
    start_bare,
    store_json,
    window,
)
from wardlight_lab.bench.figures import Aim, Row, quantile
from wardlight_lab.bench.http_load import Loaded, fetch, get, load
from wardlight_lab.bench.population import Population
from wardlight_lab.bench.rounds import in_turn_async
from wardlight_lab.bench.setting import Setting, Unsound
from wardlight_lab.bench.site import WITHOUT_KEEPING, Site, spent

NAME: Final = "fhir"
_RATIO: Final = Aim(0.7, of_ratio=True)
_AGAINST: Final = "bare ASGI and asyncpg, 100 stored JSON rows"
_ROUNDS: Final = 3
_KEPT_WITHIN_S: Final = 300.0
_CHECKED: Final = 20
_CONNECTIONS: Final = (1, 8, 32)


def measure(setting: Setting) -> Iterator[Row]:
    """The rows of this measurement."""
    yield from asyncio.run(_measure(setting))


async def _measure(setting: Setting) -> list[Row]:
    people = Population.until_today(setting.size(1000, 5), setting.size(30, 4))
    async with Site(setting.folder) as site:
        await site.start_database()
        store = await site.open_store()
        token = new_token()
        await store.put_client("bench", token_hash(token), ("system/*.rs",))
        setting.say(f"registering {people.patients} patients")
        await population.register(store, people)
        rows = await population.ingest(store, people, setting.say)
        setting.say("storing finished JSON for the baseline")
        stored = await store_json(site.dsn, store, people)
        await store.close()
        await site.start_api()
        bare_port = await start_bare(site)
        found: list[Row] = []
        for days, port in ((ANEW, await site.start_api_without_keeping()), (KEPT, site.http_port)):
            contest = _Contest(site, setting, people, token, (port, bare_port), days)
            await contest.check()
            if days == KEPT:
                await contest.ask_until_kept()
            found += [row for each in _CONNECTIONS for row in await contest.rows(each)]
    for row in found:
        (row.notes or {}).update({"readings": rows, "stored_json": stored})
    return found


class _Contest:
    """Ours and the baseline, both running, one asked at a time."""

    def __init__(
        self,
        site: Site,
        setting: Setting,
        people: Population,
        token: str,
        ports: tuple[int, int],
        days: str,
    ) -> None:
        self._site = site
        self._seconds = float(setting.size(5, 1))
        self._rounds = setting.size(_ROUNDS, 1)
        self._setting = setting
        order = [place * 389 % people.patients for place in range(people.patients)]
        paths = [query(people, place) for place in order]
        self._days = days
        self._process = "api" if days == KEPT else WITHOUT_KEEPING
        self._wanted = {
            (people.patient_id(place), (window(people, place)[0].instant + DAY * n).date())
            for place in order
            for n in range(DAYS)
        }
        self._asked = {
            "ours": (ports[0], [get(path, token) for path in paths]),
            "bare": (ports[1], [get(path) for path in paths]),
        }
        self._loads: dict[str, list[Loaded]] = {}

    async def check(self) -> None:
        """Both give the same resources. Errors: Unsound."""
        for place in range(min(_CHECKED, len(self._asked["ours"][1]))):
            pages = [
                resources(json.loads(await fetch(port, requests[place])))
                for port, requests in self._asked.values()
            ]
            if not pages[0] or pages[0] != pages[1]:
                raise Unsound(
                    f"page {place}: the two servers do not answer with the same resources"
                )

    async def ask_until_kept(self) -> None:
        """As somebody who asked before would have done. Errors: Unsound."""
        port, requests = self._asked["ours"]
        give_up_at = asyncio.get_running_loop().time() + _KEPT_WITHIN_S
        connection = await asyncpg.connect(self._site.dsn)
        try:
            while missing := self._wanted - {
                tuple(row) for row in await connection.fetch("SELECT patient_id, day FROM kept_day")
            }:
                if asyncio.get_running_loop().time() > give_up_at:
                    raise Unsound(f"{len(missing)} days were not kept in {_KEPT_WITHIN_S:g} s")
                self._setting.say(f"{len(missing)} days are not kept yet")
                await load(port, requests, connections=2, seconds=self._seconds)
        finally:
            await connection.close()

    async def rows(self, connections: int) -> list[Row]:
        """Requests a second and the slowest hundredth, over that many connections."""
        self._setting.say(f"asking over {connections} connections")
        self._loads = {"ours": [], "bare": []}
        before = self._site.cpu_s()
        found = await in_turn_async(
            self._rounds, {name: self._load(name, connections) for name in self._asked}
        )
        cpu_s = spent(before, self._site.cpu_s())
        ours = [each for one in self._loads["ours"] for each in one.latencies_s]
        answers = len(ours)
        notes: dict[str, Any] = {
            "p50_ms": round(1000 * quantile(ours, 0.5), 2),
            "p99_ms": round(1000 * quantile(ours, 0.99), 2),
            "page_bytes": sum(one.body_bytes for one in self._loads["ours"]) // max(1, answers),
            "api_cpu_ms_a_page": round(1000 * cpu_s[self._process] / max(1, answers), 2),
            "bare_cpu_ms_a_page": round(1000 * cpu_s["bare"] / max(1, self._answers("bare")), 2),
        }
        what = f"{self._days}, page of {PAGE}, {connections} connections"
        return [Row(NAME, what, "/s", found["ours"], found["bare"], _AGAINST, _RATIO, notes)]

    def _answers(self, name: str) -> int:
        return sum(len(one.latencies_s) for one in self._loads[name])

    def _load(self, name: str, connections: int) -> Any:
        port, requests = self._asked[name]

        async def rate() -> float:
            await load(port, requests, connections=connections, seconds=self._seconds / 5)
            found = await load(port, requests, connections=connections, seconds=self._seconds)
            self._loads[name].append(found)
            return found.rate

        return rate
