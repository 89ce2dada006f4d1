"""Pages of Observations by patient, category and date, and the same resources as finished JSON."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlencode

import asyncpg

from wardlight_cloud.fhir.observation import observation
from wardlight_cloud.fhir.vocabulary import measured_by_category
from wardlight_cloud.store.base import Store
from wardlight_cloud.store.embedded.ports import free_loopback_port
from wardlight_cloud.store.observation_rows import ObservationRow
from wardlight_cloud.store.queries import ObservationQuery, TimeBound
from wardlight_lab.bench import bare_asgi
from wardlight_lab.bench.population import Population
from wardlight_lab.bench.site import Site, module
from wardlight_lab.supervise import Child

PAGE: Final = 100
DAY: Final = timedelta(days=1)
DAYS: Final = 3  # a page comes out of this many days, some 150 Observations
KEPT: Final = "kept days"
ANEW: Final = "days written anew"
_CATEGORY: Final = "vital-signs"


def window(people: Population, place: int) -> tuple[TimeBound, TimeBound]:
    """The days that are asked for of a patient."""
    first = place % max(1, people.days - DAYS + 1)
    start = people.first_day + first * DAY
    return TimeBound("ge", start), TimeBound("lt", start + DAYS * DAY)


def query(people: Population, place: int) -> str:
    """The URL's path and query for a patient's page."""
    dates = [("date", f"{each.op}{each.instant.isoformat()}") for each in window(people, place)]
    parameters = [
        ("patient", str(people.patient_id(place))),
        ("category", _CATEGORY),
        *dates,
        ("_count", str(PAGE)),
    ]
    return f"/fhir/Observation?{urlencode(parameters)}"


async def store_json(dsn: str, store: Store, people: Population) -> int:
    """Finished JSON of every Observation that a page may show; returns how many."""
    connection = await asyncpg.connect(dsn)
    count = 0
    try:
        await connection.execute(bare_asgi.TABLE)
        for place in range(people.patients):
            records = {
                row.observation_id: (
                    row.origin.patient_id,
                    row.time,
                    row.observation_id,
                    observation(row),
                )
                for row in await _rows(store, people, place)
            }
            await connection.copy_records_to_table("stored_observation", records=records.values())
            count += len(records)
        await connection.execute("VACUUM (ANALYZE)")
    finally:
        await connection.close()
    return count


async def _rows(store: Store, people: Population, place: int) -> Sequence[ObservationRow]:
    page = await store.observations(
        ObservationQuery(
            patients=(people.patient_id(place),),
            metrics=tuple({wire for wire, _ in measured_by_category(None, _CATEGORY)}),
            times=window(people, place),
            count=500,
        )
    )
    return page.rows


async def start_server(
    site: Site, name: str, command: Sequence[str], port: int, **environment: str
) -> None:
    """Start a server beside ours; it is ready when it takes connections."""

    async def is_ready() -> bool:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        return True

    await site.start(Child(name=name, command=command, ready=is_ready, env=environment))


async def start_bare(site: Site) -> int:
    """The shortest way to stored JSON; returns its port."""
    port = free_loopback_port()
    command = module("wardlight_lab.bench.bare_asgi", "--dsn", site.dsn, "--port", port)
    await start_server(site, "bare", command, port)
    return port


def resources(page: dict[str, Any]) -> Sequence[dict[str, Any]]:
    """The resources of a Bundle in a fixed order."""
    found = [entry["resource"] for entry in page.get("entry", [])]
    return sorted(found, key=lambda resource: str(resource["id"]))
