"""The page of 100 Observations against what HTTP costs by itself, and against a framework.

constant     bare_asgi.py answering with the same bytes each time: no framework, no database
fhirstarter  fhirstarter with fhir.resources, which makes models of the same stored JSON
             (fhirstarter_app.py, in an environment of its own)
Ours are pages of settled days, as in fhir_page.py, where ours is held against stored JSON.
"""

import asyncio
import json
from collections.abc import Iterator
from typing import Any, Final

from wardlight_cloud.security.tokens import new_token, token_hash
from wardlight_cloud.store.embedded.ports import free_loopback_port
from wardlight_lab.bench import population
from wardlight_lab.bench.fhir_pages import (
    PAGE,
    query,
    resources,
    start_bare,
    start_server,
    store_json,
)
from wardlight_lab.bench.figures import Aim, Row, quantile
from wardlight_lab.bench.http_load import Loaded, fetch, get, load
from wardlight_lab.bench.own_environment import python_of
from wardlight_lab.bench.population import Population
from wardlight_lab.bench.rounds import in_turn_async
from wardlight_lab.bench.setting import CHECKOUT, Setting, Unsound
from wardlight_lab.bench.site import Site

NAME: Final = "fhir-peers"
_TEN_TIMES: Final = Aim(10, of_ratio=True)
_CONNECTIONS: Final = (1, 8, 32)
_CHECKED: Final = 5
_APP: Final = CHECKOUT / "lab" / "wardlight_lab" / "bench" / "fhirstarter_app.py"
_WHAT: Final = {
    "constant": "bare ASGI, constant bytes of such a page",
    "fhirstarter": "fhirstarter + fhir.resources, 100 stored JSON rows",
}
_TOLD: Final = frozenset({"id", "status", "subject"})  # models write times in another form


def measure(setting: Setting) -> Iterator[Row]:
    """The rows of this measurement."""
    yield from asyncio.run(_measure(setting))


async def _measure(setting: Setting) -> list[Row]:
    python = python_of("fhirstarter")
    people = Population.until_today(setting.size(200, 4), setting.size(12, 5))
    async with Site(setting.folder) as site:
        await site.start_database()
        store = await site.open_store()
        token = new_token()
        await store.put_client("bench", token_hash(token), ("system/*.rs",))
        await population.register(store, people)
        await population.ingest(store, people, setting.say)
        await store_json(site.dsn, store, people)
        await store.close()
        await site.start_api()
        bare = await start_bare(site)
        peer = free_loopback_port()
        command = (str(python), str(_APP), "--dsn", site.dsn, "--port", str(peer))
        await start_server(site, "fhirstarter", command, peer, FHIR_SEQUENCE="R4B")
        paths = [query(people, place) for place in range(people.patients)]
        asked = {
            "ours": (site.http_port, [get(path, token) for path in paths]),
            "constant": (bare, [get("/constant")]),
            "fhirstarter": (peer, [get(_without(path)) for path in paths]),
        }
        await _check(asked, bare, paths)
        found: list[Row] = []
        for connections in _CONNECTIONS:
            found += await _rows(setting, asked, connections)
    return found


def _without(path: str) -> str:
    """Without what fhirstarter has no handler for; its handler takes 100 rows of any category."""
    bare = path.removeprefix("/fhir").replace("&category=vital-signs", "")
    return bare.replace(f"&_count={PAGE}", "")


_Asked = dict[str, tuple[int, list[bytes]]]


async def _check(asked: _Asked, bare: int, paths: list[str]) -> None:
    """The peer answers with the same resources; the constant is one of these pages."""
    for place in range(min(_CHECKED, len(paths))):
        pages = [
            resources(json.loads(await fetch(asked[name][0], asked[name][1][place])))
            for name in ("ours", "fhirstarter")
        ]
        told = [[{k: one[k] for k in _TOLD & one.keys()} for one in page] for page in pages]
        if not told[0] or told[0] != told[1]:
            raise Unsound(f"page {place}: fhirstarter does not answer with the same resources")
    page = await fetch(bare, get(paths[0]))
    if page != await fetch(bare, get("/constant")):
        raise Unsound("the constant is no page")


async def _rows(setting: Setting, asked: _Asked, connections: int) -> list[Row]:
    setting.say(f"asking over {connections} connections")
    seconds = float(setting.size(5, 1))
    loads: dict[str, list[Loaded]] = {name: [] for name in asked}

    def contender(name: str) -> Any:
        port, requests = asked[name]

        async def rate() -> float:
            await load(port, requests, connections=connections, seconds=seconds / 5)
            loads[name].append(await load(port, requests, connections=connections, seconds=seconds))
            return loads[name][-1].rate

        return rate

    rates = await in_turn_async(setting.size(3, 1), {name: contender(name) for name in asked})
    notes = {
        f"{name}_p99_ms": round(
            1000 * quantile([each for one in found for each in one.latencies_s], 0.99), 2
        )
        for name, found in loads.items()
    }
    what = f"page of {PAGE}, {connections} connections"
    return [
        Row(
            NAME, what, "/s", rates["ours"], rates[name], against,
            _TEN_TIMES if name == "fhirstarter" else None, notes,
        )
        for name, against in _WHAT.items()
    ]  # fmt: skip
