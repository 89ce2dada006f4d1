"""Trouble on the way to the broker: said plainly, tried again, over without a restart."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from support.collector import GATEWAY, ScriptedCollector
from support.waiting import wait_until
from wardlight_cloud.security.ca import CertificateAuthority
from wardlight_edge.clock import SystemClock
from wardlight_edge.config import UplinkSettings
from wardlight_edge.outbox.memory import MemoryOutbox
from wardlight_edge.uplink.mqtt import MqttLink
from wardlight_edge.uplink.uplink import Uplink
from wardlight_shared import topics
from wardlight_shared.errors import TransportError

SettingsFactory = Callable[[int | None], UplinkSettings]
CLOCK = SystemClock()


@contextlib.asynccontextmanager
async def running(settings: UplinkSettings) -> AsyncIterator[Uplink]:
    outbox = MemoryOutbox(CLOCK, live_age_ms=60_000)
    async with Uplink(settings, GATEWAY, outbox, CLOCK) as uplink:
        yield uplink


def says(uplink: Uplink, *words: str) -> bool:
    reason = uplink.status().reason or ""
    assert not uplink.task.done(), "the uplink has ended"
    return all(word in reason for word in words)


@pytest.mark.parametrize("name", ["ca_file", "cert_file", "key_file"])
@pytest.mark.parametrize("trouble", ["missing", "noise"])
async def test_a_file_put_back_ends_the_trouble(
    tmp_path: Path,
    uplink_settings: SettingsFactory,
    collector: ScriptedCollector,
    name: str,
    trouble: str,
) -> None:
    settings = uplink_settings(None)
    good, bad = getattr(settings, name), tmp_path / f"own-{name}"
    if trouble == "noise":
        bad.write_text("no certificate")
    async with running(msgspec.structs.replace(settings, **{name: bad})) as uplink:
        await wait_until(lambda: says(uplink, f"uplink.{name}", str(bad)), what="it is said")
        shutil.copy(good, bad)
        await wait_until(lambda: uplink.status().connected, 60, "connected without a restart")
        await wait_until(lambda: uplink.status().reason is None, what="nothing is wrong any more")


async def test_a_broker_of_another_authority_is_refused_with_a_reason(
    tmp_path: Path, uplink_settings: SettingsFactory
) -> None:
    other = CertificateAuthority.open(tmp_path / "other-pki")
    settings = msgspec.structs.replace(uplink_settings(None), ca_file=other.certificate_file)
    async with running(settings) as uplink:
        await wait_until(
            lambda: says(uplink, "broker's certificate is not accepted", "uplink.ca_file"),
            what="it is said",
        )


async def test_a_broker_that_confirms_nothing_is_noticed_without_sending(
    uplink_settings: SettingsFactory,
) -> None:
    """A timer says so, although nothing else is sent and the connection stands."""
    link = MqttLink(uplink_settings(None), GATEWAY, b"", stall_s=0.2)
    try:
        await link.open()
        link._sent = lambda mid: None  # type: ignore[method-assign]  # PUBACKs are lost
        link.publish(topics.hello(GATEWAY), b"")
        async with asyncio.timeout(30):
            with pytest.raises(TransportError, match="confirmed nothing"):
                await link.receive()
    finally:
        await link.close()
