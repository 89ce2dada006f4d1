"""`wardlight-cloud serve` as a real process, and its live feed read event by event."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from support.plain_http import PLAIN
from support.ports import free_port
from support.waiting import wait_until

Row = dict[str, Any]


@dataclass(frozen=True)
class Api:
    """One running API process."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    def output(self) -> str:
        """What the process wrote."""
        return self.log.read_text("utf-8", "replace")

    @asynccontextmanager
    async def live(self, token: str, query: str = "") -> AsyncIterator[AsyncIterator[list[Row]]]:
        """Rows of the live feed, one list an event; [] for a sign of life."""
        headers = {"Authorization": f"Bearer {token}"}
        async with (
            httpx.AsyncClient(headers=headers, timeout=180, verify=PLAIN) as client,
            client.stream("GET", f"{self.url}/api/v1/live{query}") as answer,
        ):
            assert answer.status_code == 200, await answer.aread()
            assert answer.headers["content-type"].startswith("text/event-stream")
            yield _events(answer)


async def _events(answer: httpx.Response) -> AsyncIterator[list[Row]]:
    async for line in answer.aiter_lines():
        if line.startswith("data: "):
            data = json.loads(line.removeprefix("data: "))
            yield data if isinstance(data, list) else []


@asynccontextmanager
async def serving(
    folder: Path, dsn: str, *, port: int = 0, is_awaited: bool = True, workers: int = 1
) -> AsyncIterator[Api]:
    """An API process on a port of its own; it is stopped, and must stop, at the end."""
    api = _start(folder, dsn, port or free_port(), workers)
    process = api.process
    try:
        if is_awaited:
            await wait_until(lambda: _is_ready(api), 120, "the API is ready")
        yield api
    finally:
        process.terminate()
        try:
            process.wait(30)
        finally:
            process.kill()


def _start(folder: Path, dsn: str, port: int, workers: int) -> Api:
    folder.mkdir(parents=True, exist_ok=True)
    config, log = folder / "cloud.toml", folder / "api.log"
    text = f'data_dir = "data"\n[http]\nport = {port}\nworkers = {workers}\n'
    config.write_text(text, encoding="utf-8")
    environment = {**os.environ, "WARDLIGHT_DATABASE__DSN": dsn}
    command = [sys.executable, "-m", "wardlight_cloud", "serve", "--config", str(config)]
    with log.open("ab") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=environment)
    return Api(process, f"http://127.0.0.1:{port}", log)


async def _is_ready(api: Api) -> bool:
    assert api.process.poll() is None, api.output()
    try:
        async with httpx.AsyncClient(verify=PLAIN) as client:
            return (await client.get(f"{api.url}/readyz")).status_code == 200
    except httpx.TransportError:
        return False
