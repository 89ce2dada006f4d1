"""The register decides who is let in at a broker that runs: by `wardlight-cloud gateway`."""

import asyncio
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.broker_client import BrokerClient
from support.postgres import FreshDatabase
from support.waiting import wait_until
from wardlight_cloud.cli import main
from wardlight_lab.broker import Broker, Mosquitto
from wardlight_shared import topics
from wardlight_shared.records import Lane

Connect = Callable[..., BrokerClient]
NEW = "gw-new"


@pytest.fixture
def process_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
async def types(
    broker: Broker,
    fresh_database: FreshDatabase,
    tmp_path: Path,
    process_logging: None,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Any]:
    """Types a command of `wardlight-cloud gateway`; `lines` replace how the broker is told."""
    monkeypatch.setenv("WARDLIGHT_DATABASE__DSN", await fresh_database(None))

    async def type_it(*command: str, lines: str | None = None) -> int:
        pid_file = f"pid_file = {json.dumps(str(broker.folder / 'broker.pid'))}"
        kind = "mosquitto" if isinstance(broker, Mosquitto) else "nats-server"
        file = json.dumps(str(broker.permissions_file))
        config = tmp_path / "cloud.toml"
        config.write_text(
            f'[broker]\nkind = "{kind}"\npermissions_file = {file}\n'
            f"{pid_file if lines is None else lines}\n"
        )
        arguments = ["gateway", *command, "--config", str(config)]
        return await asyncio.to_thread(main, arguments)

    return type_it


async def test_who_is_added_gets_in_and_who_is_disabled_does_not(
    broker: Broker, connect: Connect, types: Callable[..., Any]
) -> None:
    for gateway in ("gw-a", NEW):
        assert await types("add", gateway) == 0
    collector = connect(broker, "collector-1")
    for gateway in ("gw-a", NEW):
        for topic_filter in topics.shard_filters(topics.shard_of(gateway)):
            assert collector.subscribe(topic_filter)

    def gets_through(gateway: str, payload: bytes) -> bool:
        client = connect(broker, gateway)
        if client.is_connected:
            client.publish(topics.up(gateway, Lane.LIVE), payload)
        return (topics.up(gateway, Lane.LIVE), payload) in collector.heard

    await wait_until(lambda: gets_through(NEW, b"first"), what="the new gateway is let in")
    assert await types("disable", NEW) == 0

    def is_out() -> bool:
        """A message of it, sent before one of the other, stays away."""
        collector.heard.clear()
        return gets_through("gw-a", b"after") and not gets_through(NEW, b"after")

    await wait_until(is_out, what="the disabled gateway is refused")


async def test_a_broker_that_was_not_told_is_said(
    broker: Broker,
    types: Callable[..., Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = tmp_path / "told"
    assert await types("add", NEW, lines=f'reload_command = ["touch", "{told}"]') == 0
    assert told.exists()
    assert NEW in broker.permissions_file.read_text()
    assert await types("permissions", lines="") == 0
    assert "does not know yet: send it SIGHUP" in capsys.readouterr().out
    for lines in ('reload_command = ["false"]', 'pid_file = "nothing"'):
        assert await types("disable", NEW, lines=lines) == 1
        complaint = capsys.readouterr().err
        assert "The register has the change" in complaint
        assert "gateway permissions" in complaint
    assert NEW not in broker.permissions_file.read_text()
    assert await types("permissions", lines='pid_file = "a"\nreload_command = ["b"]') == 2
    assert "not both" in capsys.readouterr().err
    assert await types("list", lines="") == 0
