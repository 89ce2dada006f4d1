"""`wardlight-cloud serve` with two worker processes: they log as one does, and may be slow."""

import contextlib
import os
import re
import signal
import time
from pathlib import Path

import asyncpg
import httpx
import pytest

from support.api_process import Api, serving
from support.demo import is_alive
from support.plain_http import PLAIN
from support.postgres import FreshDatabase
from support.served_ward import TOKEN, WARD
from support.waiting import wait_until

pytestmark = pytest.mark.timeout(400)  # processes that start on a machine that is busy
_BEFORE_PYTHON = "UPDATE commit_log SET stored_at = '4000-01-01 BC'"


async def test_workers_log_as_one_process_does(
    fresh_database: FreshDatabase, tmp_path: Path
) -> None:
    dsn = await fresh_database(WARD)
    connection = await asyncpg.connect(dsn)
    await connection.execute(_BEFORE_PYTHON)
    await connection.close()
    async with serving(tmp_path, dsn, workers=2) as api:
        await wait_until(
            lambda: (
                api.output().count(" info wardlight_cloud.store.postgres.opening: store op") == 2
            ),
            120,
            "both workers told that they opened the store",
        )
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(timeout=180, headers=headers, verify=PLAIN) as client:
            answer = await client.get(f"{api.url}/fhir/Device")
            assert answer.status_code == 500
            page = await client.get(f"{api.url}/healthz")
            assert page.status_code == 200
        number = re.search(r"under ([0-9a-f]{16})", answer.text)
        assert number
        await wait_until(lambda: f"error_id={number[1]}" in api.output(), 30, "it is in the log")
        assert "Traceback" not in api.output()
        await all_workers_count_as_one(api)
        await an_export_survives_its_process(api, dsn)
        await a_worker_that_is_slow_is_not_killed(api)
        await workers_end_with_their_parent(api)


async def all_workers_count_as_one(api: Api) -> None:
    """Each connection goes to any of them, and any of them answers for all."""

    async def numbers() -> dict[str, float]:
        async with httpx.AsyncClient(timeout=180, verify=PLAIN) as client:
            text = (await client.get(f"{api.url}/metrics")).text
        lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
        return {name: float(number) for name, _, number in lines}

    name = 'wardlight_http_requests_total{method="HEAD",route="/fhir/metadata",status="200"}'
    headers = {"Connection": "close"}
    for _ in range(40):
        async with httpx.AsyncClient(timeout=180, headers=headers, verify=PLAIN) as client:
            await client.head(f"{api.url}/fhir/metadata")
    told = await numbers()
    assert told[name] == 40
    assert told["wardlight_database_connections_max"] == 2 * 8
    assert told["wardlight_live_streams"] == 0
    assert "wardlight_database_connections_in_use" in told
    async with api.live(TOKEN) as events:
        await anext(events)
        assert (await numbers())["wardlight_live_streams"] == 1


async def an_export_survives_its_process(api: Api, dsn: str) -> None:
    """It is made beside the workers, and any of them tells how far it is."""
    connection = await asyncpg.connect(dsn)
    await connection.execute("UPDATE commit_log SET stored_at = now()")
    headers = {"Authorization": f"Bearer {TOKEN}", "Prefer": "respond-async"}
    async with httpx.AsyncClient(timeout=180, headers=headers, verify=PLAIN) as client:
        answer = await client.get(f"{api.url}/fhir/$export?_type=Patient,Device")
        assert answer.status_code == 202, answer.text
        place = answer.headers["content-location"]
        await wait_until(lambda: _exporting(api), 120, "a process makes it")
        for pid in _exporting(api):
            with contextlib.suppress(ProcessLookupError):  # it was quick
                os.kill(int(pid), signal.SIGKILL)
        told: list[httpx.Response] = []

        async def is_made() -> bool:
            told.append(await client.get(place))
            return told[-1].status_code != 202

        await wait_until(is_made, 120, "the next one makes it")
        manifest = told[-1].json()
        assert {each["type"]: each["count"] for each in manifest["output"]} == {
            "Patient": 2, "Device": 4,
        }  # fmt: skip
        for each in manifest["output"]:
            assert len((await client.get(each["url"])).text.splitlines()) == each["count"]
    (attempt,) = await connection.fetch("SELECT state FROM bulk_export")
    assert attempt["state"] == "done"
    await connection.close()
    await wait_until(lambda: not _exporting(api), 60, "it ended when none was left")


def _exporting(api: Api) -> list[str]:
    """Processes that make exports."""
    found = []
    for worker in _children(api):
        with contextlib.suppress(OSError):  # of one that ended meanwhile
            below = Path(f"/proc/{worker}/task/{worker}/children").read_text("ascii")
            found += [pid for pid in below.split() if b"export_process" in _command(pid)]
    return found


async def a_worker_that_is_slow_is_not_killed(api: Api) -> None:
    """As one is that starts on a busy machine; the server's own limit is 5 s."""
    before = _children(api)
    slow = [int(pid) for pid in before if b"spawn_main" in _command(pid)]
    assert len(slow) == 2
    until = time.monotonic() + 8
    os.kill(slow[0], signal.SIGSTOP)
    try:
        await wait_until(lambda: time.monotonic() > until, 60, "it was slow for 8 s")
    finally:
        os.kill(slow[0], signal.SIGCONT)
    assert _children(api) == before
    assert "died" not in api.output()


async def workers_end_with_their_parent(api: Api) -> None:
    """Also with one that is killed: else they would keep the port."""
    workers = _children(api)
    api.process.kill()
    await wait_until(lambda: not any(is_alive(int(pid)) for pid in workers), 60, "all have ended")


def _children(api: Api) -> list[str]:
    pid = api.process.pid
    return Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()


def _command(pid: str) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()
