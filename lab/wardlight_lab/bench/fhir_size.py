"""Whether a page of Observations takes longer where much is stored: 100 thousand or 10 million.

Two stores of the same kind of patients, one after the other, each as large as it is to be before
anybody asks; the same pages, by the same client, over 8 connections. The slowest hundredth is told.
"""

import asyncio
from collections.abc import Iterator
from typing import Any, Final

from wardlight_cloud.security.tokens import new_token, token_hash
from wardlight_lab.bench import population
from wardlight_lab.bench.fhir_pages import ANEW, KEPT, PAGE, query
from wardlight_lab.bench.figures import Aim, Row, quantile
from wardlight_lab.bench.http_load import get, load
from wardlight_lab.bench.population import Population
from wardlight_lab.bench.setting import Setting
from wardlight_lab.bench.site import Site

NAME: Final = "fhir-size"
_TWICE: Final = Aim(2.0, at_least=False, of_ratio=True)
_CONNECTIONS: Final = 8
_DAYS: Final = 30
_ROUNDS: Final = 5
_WARMING_S: Final = 10


def measure(setting: Setting) -> Iterator[Row]:
    """The rows of this measurement."""
    small = asyncio.run(_asked(setting.within("small"), setting.size(50, 3)))
    large = asyncio.run(_asked(setting.within("large"), setting.size(5050, 12)))
    for days in (KEPT, ANEW):
        notes = {"readings": large["readings"], "readings_of_baseline": small["readings"]}
        what = f"{days}, page of {PAGE}, p99, {_CONNECTIONS} connections, 10 M readings"
        yield Row(NAME, what, "ms", large[days], small[days], "the same with 100 k", _TWICE, notes)


async def _asked(setting: Setting, patients: int) -> dict[str, Any]:
    people = Population.until_today(patients, setting.size(_DAYS, 5))
    async with Site(setting.folder) as site:
        await site.start_database()
        store = await site.open_store()
        token = new_token()
        await store.put_client("bench", token_hash(token), ("system/*.rs",))
        setting.say(f"registering {people.patients} patients")
        await population.register(store, people)
        found: dict[str, Any] = {"readings": await population.ingest(store, people, setting.say)}
        await store.close()
        await site.start_api()
        order = [place * 389 % people.patients for place in range(people.patients)]
        requests = [get(query(people, place), token) for place in order]
        for days, port in ((KEPT, site.http_port), (ANEW, await site.start_api_without_keeping())):
            seconds = float(setting.size(_WARMING_S, 1))
            await load(port, requests, connections=_CONNECTIONS, seconds=seconds)
            found[days] = tuple([await _p99_ms(port, requests, setting) for _ in range(_ROUNDS)])
    return found


async def _p99_ms(port: int, requests: list[bytes], setting: Setting) -> float:
    seconds = float(setting.size(5, 1))
    answered = await load(port, requests, connections=_CONNECTIONS, seconds=seconds)
    return 1000 * quantile(answered.latencies_s, 0.99)
