"""`wardlight-cloud serve` with two worker processes: they log as one does, and may be slow."""

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
from support.postgres import FreshDatabase
from support.served_ward import ANNA, TOKEN, WARD
from support.waiting import wait_until

pytestmark = pytest.mark.timeout(400)  # processes that start on a machine that is busy
_BEFORE_PYTHON = "UPDATE patient SET updated_at = '4000-01-01 BC'"


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
        async with httpx.AsyncClient(timeout=60, headers=headers) as client:
            answer = await client.get(f"{api.url}/fhir/Patient/{ANNA}")
            assert answer.status_code == 500
            page = await client.get(f"{api.url}/healthz")
            assert page.status_code == 200
        number = re.search(r"under ([0-9a-f]{16})", answer.text)
        assert number
        await wait_until(lambda: f"error_id={number[1]}" in api.output(), 30, "it is in the log")
        assert "Traceback" not in api.output()
        await all_workers_count_as_one(api)
        await a_worker_that_is_slow_is_not_killed(api)
        await workers_end_with_their_parent(api)


async def all_workers_count_as_one(api: Api) -> None:
    """Each connection goes to any of them, and any of them answers for all."""

    async def numbers() -> dict[str, float]:
        async with httpx.AsyncClient(timeout=60) as client:
            text = (await client.get(f"{api.url}/metrics")).text
        lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
        return {name: float(number) for name, _, number in lines}

    name = 'wardlight_http_requests_total{method="HEAD",route="/fhir/metadata",status="200"}'
    headers = {"Connection": "close"}
    for _ in range(40):
        async with httpx.AsyncClient(timeout=60, headers=headers) as client:
            await client.head(f"{api.url}/fhir/metadata")
    told = await numbers()
    assert told[name] == 40
    assert told["wardlight_database_connections_max"] == 2 * 8
    assert told["wardlight_live_streams"] == 0
    assert "wardlight_database_connections_in_use" in told
    async with api.live(TOKEN) as events:
        await anext(events)
        assert (await numbers())["wardlight_live_streams"] == 1


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
