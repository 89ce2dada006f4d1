"""Trouble on the way to the broker: said plainly, tried again, over without a restart."""

import asyncio
import contextlib
import shutil
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from support.collector import GATEWAY, ScriptedCollector
from support.waiting import wait_until
from wardlight_cloud.security.ca import CertificateAuthority
from wardlight_cloud.security.roles import Role
from wardlight_edge import doctor
from wardlight_edge.clock import SystemClock
from wardlight_edge.config import Settings, UplinkSettings
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
        async with asyncio.timeout(180):
            with pytest.raises(TransportError, match="confirmed nothing"):
                await link.receive()
    finally:
        await link.close()


async def test_a_certificate_that_has_expired_is_named(
    authority: CertificateAuthority, tmp_path: Path, uplink_settings: SettingsFactory
) -> None:
    """With TLS 1.3 the broker's refusal comes after the handshake, and says nothing useful."""
    settings = uplink_settings(None)
    long_ago = datetime.now(UTC) - timedelta(days=800)
    past = CertificateAuthority.open(tmp_path / "pki", clock=lambda: long_ago)
    old = past.issue_client(GATEWAY, Role.GATEWAY)
    assert old.certificate == settings.cert_file
    async with running(settings) as uplink:
        await wait_until(
            lambda: says(uplink, str(settings.cert_file), "has expired on"), 60, "it is said"
        )
        authority.issue_client(GATEWAY, Role.GATEWAY)
        await wait_until(lambda: uplink.status().connected, 60, "connected without a restart")


async def test_the_doctor_waits_for_a_refusal_after_the_handshake(
    tmp_path: Path, uplink_settings: SettingsFactory
) -> None:
    settings = Settings(
        gateway=GATEWAY, data_dir=tmp_path, profiles_dir=tmp_path, uplink=uplink_settings(None)
    )
    good = {each.what: each for each in await asyncio.to_thread(doctor.examine, settings)}
    assert good["broker"].good, good["broker"].text
    long_ago = datetime.now(UTC) - timedelta(days=800)
    past = CertificateAuthority.open(tmp_path / "pki", clock=lambda: long_ago)
    past.issue_client(GATEWAY, Role.GATEWAY)
    bad = {each.what: each for each in await asyncio.to_thread(doctor.examine, settings)}
    assert not bad["broker"].good
    assert "has expired on" in bad["broker"].text


async def test_the_certificate_of_another_gateway_is_named(
    authority: CertificateAuthority, uplink_settings: SettingsFactory
) -> None:
    other = authority.issue_client("gw-other", Role.GATEWAY)
    settings = msgspec.structs.replace(
        uplink_settings(None), cert_file=other.certificate, key_file=other.key
    )
    async with running(settings) as uplink:
        await wait_until(
            lambda: says(uplink, "'gw-other'", f"gateway = {GATEWAY!r}"), 60, "it is said"
        )


async def test_no_answer_of_any_collector_is_noticed(
    uplink_settings: SettingsFactory, collector: ScriptedCollector
) -> None:
    """A connection to the broker alone is not the way to the database."""
    collector.answers_hellos = False
    async with running(uplink_settings(None)) as uplink:
        state = uplink.status()
        await wait_until(lambda: state.unacked_mono_ms is not None, what="it waits for an answer")
        since_ms = state.unacked_mono_ms
        hellos = len(collector.hellos)
        await wait_until(lambda: len(collector.hellos) > hellos, 60, "another hello")
        assert state.unacked_mono_ms == since_ms, "asking again does not begin the wait anew"
        collector.answers_hellos = True
        await wait_until(lambda: state.unacked_mono_ms is None, 60, "it is answered")


def test_a_stop_does_not_wait_for_a_host_that_says_nothing(tmp_path: Path) -> None:
    """It takes the connection and never answers: TLS waits for its time to be up."""
    keys = CertificateAuthority.open(tmp_path / "pki").issue_client(GATEWAY, Role.GATEWAY)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(30)
        settings = UplinkSettings(
            host="127.0.0.1",
            port=silent.getsockname()[1],
            ca_file=keys.authority,
            cert_file=keys.certificate,
            key_file=keys.key,
            connect_timeout_s=90,
        )

        async def life() -> tuple[socket.socket, float]:
            async with running(settings):
                connection, _ = await asyncio.to_thread(silent.accept)
                return connection, time.monotonic()

        connection, stop_s = asyncio.run(life())
        with connection:
            assert time.monotonic() - stop_s < 45
    for thread in threading.enumerate():
        if thread.name == "mqtt connect":
            thread.join(180)
