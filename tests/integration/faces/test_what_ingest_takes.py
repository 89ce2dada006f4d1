"""From the wire to the screen: no record that ingest takes makes a page fail, whatever it says."""

import asyncio
from itertools import count

import httpx
import msgspec
from hypothesis import HealthCheck, given, settings

from support.any_envelope import messages
from support.envelopes import NOW_MS
from support.served_ward import ANNA, CUFF, GATEWAY, LOGIN, PASSWORD, Ward
from wardlight_cloud.ingest.pipeline import dead_letter, open_message
from wardlight_cloud.live.routes import latest_json
from wardlight_cloud.store.batch import IngestBatch
from wardlight_shared.errors import EnvelopeError

EPOCHS = count(8_000_000_001)
EXAMPLES = 12
ENVELOPES = 8  # in each example: the pages are asked once for all of them


def batches_of(message: bytes) -> list[IngestBatch]:
    try:
        return list(open_message(GATEWAY, message, NOW_MS))
    except EnvelopeError as error:
        return [dead_letter(GATEWAY, message, str(error))]


async def every_page_answers(ward: Ward) -> None:
    async with ward.client() as client:
        login = {"login": LOGIN, "password": PASSWORD}
        assert (await client.post("/login", data=login)).status_code == 303
        paths = ["/", f"/patients/{ANNA}", "/operations", "/fhir/Device?_count=500"]
        rows = await ward.store.latest([ANNA])
        for row in rows[:20]:
            latest_json(row)
            span = "start=2026-09-01T00:00:00Z&end=2026-10-01T00:00:00Z"
            paths.append(f"/api/v1/trend?patient={ANNA}&series={row.series_id}&{span}")
        for path in paths:
            assert (await client.get(path)).status_code == 200, path
        for query in ("_lastUpdated=ge2000", f"patient={ANNA}"):
            await every_bundle_answers(client, f"/fhir/Observation?_count=500&{query}")


async def every_bundle_answers(client: httpx.AsyncClient, path: str | None) -> None:
    while path is not None:
        answer = await client.get(path)
        assert answer.status_code == 200, answer.text
        links = {link["relation"]: link["url"] for link in answer.json()["link"]}
        path = links.get("next")


async def test_no_page_fails_on_what_ingest_takes(ward: Ward) -> None:
    received: list[bytes] = []

    @settings(
        max_examples=EXAMPLES * ENVELOPES,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(messages(device=CUFF, epoch=1, gateway=GATEWAY))
    def collect(message: bytes) -> None:
        parts = msgspec.msgpack.decode(message)
        parts[2] = next(EPOCHS)  # or they would be the same records, sent again
        received.append(msgspec.msgpack.encode(parts))

    await asyncio.to_thread(collect)
    for first in range(0, len(received), ENVELOPES):
        for message in received[first : first + ENVELOPES]:
            for batch in batches_of(message):
                await ward.store.ingest([batch])
        await every_page_answers(ward)
