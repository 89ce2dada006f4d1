"""A served API with two workers: the manual's example as it stands, and assertions shown twice."""

import asyncio
import os
import re
import sys
from pathlib import Path

import httpx
import pytest

from support.api_process import serving
from support.peers import require_peer
from support.plain_http import PLAIN
from support.postgres import FreshDatabase
from support.served_ward import ANNA, WARD
from support.smart_clients import TOKEN_PATH, KeyPair, asking, assertion, jwks
from wardlight_cloud.store.authorization import ClientRow
from wardlight_cloud.store.postgres import open_postgres

pytestmark = pytest.mark.timeout(400)  # processes that start on a machine that is busy
ROOT = Path(__file__).parents[3]


def manual() -> str:
    """The shell lines of docs/smart.md."""
    text = (ROOT / "docs" / "smart.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 3
    return "\n".join(blocks)


async def typed(folder: Path, dsn: str, server: str) -> str:
    """What the last line of the manual's example prints."""
    bash = require_peer("bash")
    for name in ("openssl", "curl", "basenc"):
        require_peer(name)
    ours = (
        f'wardlight-cloud() {{ "{sys.executable}" -m wardlight_cloud "$@" --config cloud.toml; }}'
    )
    script = f"set -eu\n{ours}\n{manual()}"
    making = await asyncio.create_subprocess_exec(
        bash, "-c", script, cwd=folder, stdout=-1, stderr=-1,
        env={**os.environ, "WARDLIGHT_DATABASE__DSN": dsn, "server": server},
    )  # fmt: skip
    out, complaint = await asyncio.wait_for(making.communicate(), 200)
    assert making.returncode == 0, complaint.decode()
    return out.decode()


async def test_assertions_are_used_up_for_all_workers_and_for_good(
    fresh_database: FreshDatabase, tmp_path: Path
) -> None:
    dsn, pair = await fresh_database(WARD), KeyPair()
    store = await open_postgres(dsn)
    await store.put_registration(ClientRow("service", ("system/*.rs",), jwks=jwks(pair)))
    await store.close()
    async with serving(tmp_path, dsn, workers=2) as api:
        audience, port = api.url + TOKEN_PATH, int(api.url.rpartition(":")[2])
        shown = [assertion(pair, "service", audience) for _ in range(2)]
        for signed in shown:
            answers = await asyncio.gather(*(_post(audience, signed) for _ in range(5)))
            assert sorted(answers) == [200] + [401] * 4
        printed = await typed(tmp_path, dsn, api.url)
        assert "client_id: ehr" in printed
        assert f'"id":"{ANNA}"' in printed
        log = api.output()
        assert "wl_" not in log
        assert not any(signed in log for signed in shown)
    async with serving(tmp_path, dsn, port=port) as api:
        assert api.url + TOKEN_PATH == audience
        assert await _post(audience, shown[0]) == 401, "a restart forgets nothing"
        assert await _post(audience, assertion(pair, "service", audience)) == 200


async def _post(url: str, signed: str) -> int:
    """One connection of its own, so that any worker may get it."""
    async with httpx.AsyncClient(timeout=180, verify=PLAIN) as client:
        return (await client.post(url, data=asking(signed))).status_code
