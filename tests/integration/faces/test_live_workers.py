"""The live feed from several API processes on one database, as browsers and programs use it."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from support.api_process import Api, Row, serving
from support.plain_http import PLAIN
from support.postgres import FreshDatabase
from support.readings import One
from support.served_ward import ANNA, BERT, CLIP, CUFF, WARD, Ward, open_ward
from support.waiting import wait_until
from wardlight_cloud.store.embedded import EmbeddedPostgres

WITHIN_S = 240
pytestmark = pytest.mark.timeout(400)  # processes that start on a machine that is busy


def recent(seconds: int) -> datetime:
    return datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=100 - seconds)


async def value_of(events: AsyncIterator[list[Row]], wanted: str) -> Row:
    """The first row with this value."""
    async with asyncio.timeout(WITHIN_S):
        async for rows in events:
            for row in rows:
                if row["value"] == wanted:
                    return row
    raise AssertionError("the feed ended")


async def is_watched(ward: Ward, gateway: str) -> bool:
    until = (await ward.store.live_until()).get(gateway)
    return until is not None and until > datetime.now(UTC)


async def test_two_processes_serve_what_a_third_commits(
    fresh_database: FreshDatabase, tmp_path: Path
) -> None:
    """One pair of processes for all that takes two: they start slowly."""
    dsn = await fresh_database(WARD)
    ward = await open_ward(dsn, tmp_path)
    await ward.store_event(One("spo2", recent(1), 91, device=CLIP))
    try:
        async with serving(tmp_path / "one", dsn) as one, serving(tmp_path / "two", dsn) as two:
            await each_delivers_what_is_committed(ward, one, two)
            await refuse(one, ward.token)
            await who_comes_back_misses_nothing(ward, one, two)
            await an_open_page_keeps_no_process_from_stopping(ward, two)
    finally:
        await ward.store.close()


async def each_delivers_what_is_committed(ward: Ward, one: Api, two: Api) -> None:
    """Each gets every patient's newest rows; a patient's feed holds that patient's only."""
    async with (
        one.live(ward.token) as of_one,
        two.live(ward.token, f"?patient={BERT}") as of_two,
    ):
        for events in (of_one, of_two):
            row = await value_of(events, "91")  # what there is, at once
            assert (row["metric"], row["patient"]) == ("spo2", str(BERT))
        await wait_until(lambda: is_watched(ward, "gw-test"), WITHIN_S, "gateways are told")
        await ward.store_event(One("systolic_bp", recent(2), 138, device=CUFF))
        assert (await value_of(of_one, "138"))["patient"] == str(ANNA)
        await ward.store_event(One("spo2", recent(3), 92, device=CLIP))
        assert (await value_of(of_one, "92"))["unit"] == "%"
        assert (await value_of(of_two, "92"))["patient"] == str(BERT)
        async with two.live(ward.token, f"?patient={ANNA}") as of_anna:
            # Committed while nobody watched Anna on this process, and older than Bert's row.
            assert (await value_of(of_anna, "138"))["patient"] == str(ANNA)


async def who_comes_back_misses_nothing(ward: Ward, one: Api, two: Api) -> None:
    """Last-Event-ID is a commit, the same for all: what came meanwhile comes, and no more."""
    last, rows = await first_event(one, ward.token)
    assert {row["value"] for row in rows} == {"92", "138"}
    for value in (93, 94):
        await ward.store_event(One("spo2", recent(value), value, device=CLIP))
    last, rows = await first_event(two, ward.token, last)
    assert [row["value"] for row in rows] == ["94"]
    await ward.store_event(One("systolic_bp", recent(4), 139, device=CUFF))
    _, rows = await first_event(one, ward.token, last)
    assert [row["value"] for row in rows] == ["139"]
    for unknown in ("999999", "x", "-1", "9" * 30):
        _, rows = await first_event(one, ward.token, unknown)
        assert {row["value"] for row in rows} == {"94", "139"}


async def an_open_page_keeps_no_process_from_stopping(ward: Ward, api: Api) -> None:
    """And a stopped one is no fault in the log."""
    async with api.live(ward.token) as of_all, api.live(ward.token, f"?patient={BERT}") as of_bert:
        for events in (of_all, of_bert):
            await value_of(events, "94")
        api.process.terminate()
        await wait_until(lambda: api.process.poll() is not None, WITHIN_S, "stopped")
    assert "Traceback" not in api.output()


async def first_event(api: Api, token: str, last: str | None = None) -> tuple[str, list[Row]]:
    """Id and rows of the first event after connecting, as a browser connects again."""
    headers = {"Authorization": f"Bearer {token}"} | ({"Last-Event-ID": last} if last else {})
    event_id = ""
    async with (
        asyncio.timeout(WITHIN_S),
        httpx.AsyncClient(headers=headers, timeout=WITHIN_S, verify=PLAIN) as client,
        client.stream("GET", f"{api.url}/api/v1/live") as answer,
    ):
        async for line in answer.aiter_lines():
            name, _, text = line.partition(": ")
            event_id = text if name == "id" else event_id
            if name == "data":
                return event_id, json.loads(text)
    raise AssertionError("the feed ended")


async def refuse(api: Api, token: str) -> None:
    """What the feed does not serve."""
    nobody = "00000000-0000-4000-8000-000000000000"
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(timeout=180, verify=PLAIN) as client:
        url = f"{api.url}/api/v1/live"
        assert (await client.get(url)).status_code == 401
        for query, status in ((f"?patient={nobody}", 404), ("?patient=x", 400)):
            answer = await client.get(url + query, headers=headers)
            assert answer.status_code == status
            assert answer.json()["error"]


async def test_an_api_waits_for_its_database_and_comes_back_when_that_was_away(
    tmp_path: Path,
) -> None:
    server = EmbeddedPostgres(tmp_path / "postgres", durable=False, tcp_port=0)
    server.start()
    try:
        dsn = server.tcp_dsn
        await WARD.build(dsn)
        server.stop()
        async with serving(tmp_path / "api", dsn, is_awaited=False) as api:
            await says_why_it_cannot_serve_yet(api)
            server.start()
            await serves_and_told_once_of_the_wait(api)
            await comes_back_after_the_database_was_away(api, server, tmp_path)
            assert "Almeida" not in api.output()
    finally:
        server.stop()


async def says_why_it_cannot_serve_yet(api: Api) -> None:
    await wait_until(lambda: status_of(api, "/healthz", 200), 120, "it answers")
    assert await status_of(api, "/readyz", 503)
    assert await status_of(api, "/", 503)
    assert await status_of(api, "/fhir/Patient", 503)


async def serves_and_told_once_of_the_wait(api: Api) -> None:
    """One line tells of the wait, one of its end."""
    await wait_until(lambda: status_of(api, "/readyz", 200), 120, "it is ready")
    assert await status_of(api, "/login", 200)
    assert api.output().count("waiting for the database") == 1
    assert api.output().count("the database is there") == 1
    assert "Traceback" not in api.output()


async def comes_back_after_the_database_was_away(
    api: Api, server: EmbeddedPostgres, folder: Path
) -> None:
    """While it is away: FHIR 503 with a reason, pages that say so, no feed that claims to live."""
    ward = await open_ward(server.tcp_dsn, folder)
    await ward.store_event(One("spo2", recent(1), 91, device=CLIP))
    await ward.store.close()
    async with api.live(ward.token) as events:
        await value_of(events, "91")
        server.stop()
        async with asyncio.timeout(WITHIN_S):
            async for _ in events:
                pass  # the feed ends instead of claiming to be alive
    await while_away(api, ward.token)
    server.start()
    await wait_until(lambda: is_up(api, ward.token), WITHIN_S, "FHIR answers again")
    ward = replace(await open_ward(server.tcp_dsn, folder), seqs=ward.seqs)
    async with api.live(ward.token) as events:
        await value_of(events, "91")
        await ward.store_event(One("spo2", recent(2), 93, device=CLIP))
        await value_of(events, "93")
    await ward.store.close()


async def while_away(api: Api, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=api.url, timeout=180, verify=PLAIN) as client:
        answer = await client.get("/fhir/Observation", headers=headers)
        assert answer.status_code == 503
        assert answer.json()["resourceType"] == "OperationOutcome"
        assert answer.headers["retry-after"] == "5"
        assert (await client.get("/readyz")).status_code == 503
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/fhir/metadata")).status_code == 200
        page = await client.post("/login", data={"login": "nurse", "password": "x"})
        assert page.status_code == 503
        assert "The database does not answer" in page.text
        assert (await client.get("/api/v1/live", headers=headers)).status_code == 503


async def is_up(api: Api, token: str) -> bool:
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(timeout=180, verify=PLAIN) as client:
        fhir = await client.get(f"{api.url}/fhir/Observation", headers=headers)
        live = client.stream("GET", f"{api.url}/api/v1/live", headers=headers)
        async with live as answer:
            return fhir.status_code == answer.status_code == 200


async def status_of(api: Api, path: str, expected: int) -> bool:
    """Whether a path answers so; False while nobody listens."""
    try:
        async with httpx.AsyncClient(timeout=180, verify=PLAIN) as client:
            return (await client.get(f"{api.url}{path}")).status_code == expected
    except httpx.TransportError:
        return False
