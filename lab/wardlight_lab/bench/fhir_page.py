"""A page of 100 Observations by patient, category and date, against the shortest way to 100 JSONs.

ours      `wardlight-cloud serve`, one worker: token, parameters, search by columns, templates
baseline  bare_asgi.py: the same resources as finished JSON, one prepared statement, joined
Both read the same PostgreSQL (1,000 patients, 2 million readings), with the same uvicorn settings,
asked in turn by the same client over 1, 8 and 32 connections. That both give the same resources is
checked before.
"""

import asyncio
import json
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlencode

import asyncpg

from wardlight_cloud.fhir.observation import observation
from wardlight_cloud.fhir.vocabulary import measured_by_category
from wardlight_cloud.security.tokens import new_token, token_hash
from wardlight_cloud.store.base import ObservationQuery, Store, TimeBound
from wardlight_cloud.store.embedded.ports import free_loopback_port
from wardlight_lab.bench import bare_asgi, population
from wardlight_lab.bench.figures import Aim, Row, quantile
from wardlight_lab.bench.http_load import Loaded, fetch, get, load
from wardlight_lab.bench.population import Population
from wardlight_lab.bench.rounds import in_turn_async
from wardlight_lab.bench.setting import Setting, Unsound
from wardlight_lab.bench.site import Site, module, spent
from wardlight_lab.supervise import Child

NAME: Final = "fhir"
_RATIO: Final = Aim(0.7, of_ratio=True)
_AGAINST: Final = "bare ASGI and asyncpg, 100 stored JSON rows"
_PAGE: Final = 100
_DAYS: Final = 3  # a page comes out of this many days, some 150 Observations
_ROUNDS: Final = 3
_CHECKED: Final = 20
_CONNECTIONS: Final = (1, 8, 32)
_CATEGORY: Final = "vital-signs"


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
        stored = await _store_json(site.dsn, store, people)
        await store.close()
        await site.start_api()
        bare_port = await _start_bare(site)
        contest = _Contest(site, setting, people, token, bare_port)
        await contest.check()
        found = [row for each in _CONNECTIONS for row in await contest.rows(each)]
    for row in found:
        (row.notes or {}).update({"readings": rows, "stored_json": stored})
    return found


def window(people: Population, place: int) -> tuple[TimeBound, TimeBound]:
    """The days that are asked for of a patient."""
    start = people.first_day + timedelta(days=place % (people.days - _DAYS + 1))
    return TimeBound("ge", start), TimeBound("lt", start + timedelta(days=_DAYS))


def query(people: Population, place: int) -> str:
    """The URL's path and query for a patient's page."""
    dates = [("date", f"{each.op}{each.instant.isoformat()}") for each in window(people, place)]
    parameters = [
        ("patient", str(people.patient_id(place))),
        ("category", _CATEGORY),
        *dates,
        ("_count", str(_PAGE)),
    ]
    return f"/fhir/Observation?{urlencode(parameters)}"


async def _store_json(dsn: str, store: Store, people: Population) -> int:
    """Finished JSON of every Observation that a page may show; returns how many."""
    connection = await asyncpg.connect(dsn)
    count = 0
    try:
        await connection.execute(bare_asgi.TABLE)
        for place in range(people.patients):
            page = await store.observations(
                ObservationQuery(
                    patients=(people.patient_id(place),),
                    metrics=tuple({wire for wire, _ in measured_by_category(None, _CATEGORY)}),
                    times=window(people, place),
                    count=500,
                )
            )
            records = [
                (row.origin.patient_id, row.time, row.observation_id, observation(row))
                for row in page.rows
            ]
            await connection.copy_records_to_table("stored_observation", records=records)
            count += len(records)
        await connection.execute("VACUUM (ANALYZE)")
    finally:
        await connection.close()
    return count


async def _start_bare(site: Site) -> int:
    port = free_loopback_port()

    async def is_ready() -> bool:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        return True

    command = module("wardlight_lab.bench.bare_asgi", "--dsn", site.dsn, "--port", port)
    await site.start(Child(name="bare", command=command, ready=is_ready))
    return port


class _Contest:
    """Ours and the baseline, both running, one asked at a time."""

    def __init__(
        self, site: Site, setting: Setting, people: Population, token: str, bare_port: int
    ) -> None:
        self._site = site
        self._seconds = float(setting.size(5, 1))
        self._rounds = setting.size(_ROUNDS, 1)
        self._setting = setting
        order = [place * 389 % people.patients for place in range(people.patients)]
        paths = [query(people, place) for place in order]
        self._asked = {
            "ours": (site.http_port, [get(path, token) for path in paths]),
            "bare": (bare_port, [get(path) for path in paths]),
        }
        self._loads: dict[str, list[Loaded]] = {}

    async def check(self) -> None:
        """Both give the same resources. Errors: Unsound."""
        for place in range(min(_CHECKED, len(self._asked["ours"][1]))):
            pages = [
                _resources(json.loads(await fetch(port, requests[place])))
                for port, requests in self._asked.values()
            ]
            if not pages[0] or pages[0] != pages[1]:
                raise Unsound(
                    f"page {place}: the two servers do not answer with the same resources"
                )

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
            "api_cpu_ms_a_page": round(1000 * cpu_s["api"] / max(1, answers), 2),
            "bare_cpu_ms_a_page": round(1000 * cpu_s["bare"] / max(1, self._answers("bare")), 2),
        }
        what = f"patient+category+date, page of {_PAGE}, {connections} connections"
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


def _resources(page: dict[str, Any]) -> Sequence[dict[str, Any]]:
    """The resources of a Bundle in a fixed order."""
    found = [entry["resource"] for entry in page.get("entry", [])]
    return sorted(found, key=lambda resource: str(resource["id"]))
