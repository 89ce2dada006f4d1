"""The contract of a link to the broker (uplink/base.py), in memory and over a real broker."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Protocol

import pytest
import pytest_asyncio

from support.broker_client import BrokerClient
from support.memory_broker import MemoryBroker
from support.waiting import wait_until
from wardlight_cloud.security.broker import BrokerPermissions
from wardlight_cloud.security.ca import CertificateAuthority
from wardlight_cloud.security.roles import Role
from wardlight_edge.config import UplinkSettings
from wardlight_edge.uplink.base import LinkFactory
from wardlight_edge.uplink.mqtt import mqtt_links
from wardlight_lab.broker import NatsServer
from wardlight_lab.chaos.proxy import FaultyLink
from wardlight_shared import topics
from wardlight_shared.envelope import MAX_BYTES
from wardlight_shared.errors import TransportError
from wardlight_shared.records import Lane

GATEWAY = "gw-link"
COLLECTOR = "collector-link"
WILL = b"gone without a word"
UP = topics.up(GATEWAY, Lane.LIVE)
DOWN = topics.down(GATEWAY, topics.Down.ACK)
STATE = topics.state(GATEWAY)


class World(Protocol):
    """A broker with somebody on the other side."""

    links: LinkFactory

    def heard(self) -> list[tuple[str, bytes]]: ...

    async def send(self, payloads: list[bytes]) -> None: ...

    def break_link(self) -> None: ...

    def mend(self) -> None: ...


class MemoryWorld:
    def __init__(self) -> None:
        self._broker = MemoryBroker()
        self.links = self._broker.links(GATEWAY, WILL)

    def heard(self) -> list[tuple[str, bytes]]:
        return self._broker.heard

    async def send(self, payloads: list[bytes]) -> None:
        for payload in payloads:
            self._broker.send_down(DOWN, payload)

    def break_link(self) -> None:
        self._broker.stop()

    def mend(self) -> None:
        self._broker.start()


class MqttWorld:
    def __init__(self, links: LinkFactory, observer: BrokerClient, proxy: FaultyLink) -> None:
        self.links = links
        self._observer = observer
        self._proxy = proxy

    def heard(self) -> list[tuple[str, bytes]]:
        return self._observer.heard

    async def send(self, payloads: list[bytes]) -> None:
        for payload in payloads:
            await asyncio.to_thread(self._observer.publish, DOWN, payload)

    def break_link(self) -> None:
        self._proxy.cut()

    def mend(self) -> None:
        self._proxy.mend()


async def mqtt_world(folder: Path, stack: AsyncExitStack) -> MqttWorld:
    authority = CertificateAuthority.open(folder / "pki")
    permissions = BrokerPermissions(gateways=[GATEWAY], collectors=[COLLECTOR])
    broker = await stack.enter_async_context(NatsServer(folder / "broker", authority, permissions))
    ours = authority.ensure_client(GATEWAY, Role.GATEWAY)
    theirs = authority.ensure_client(COLLECTOR, Role.COLLECTOR)
    observer = BrokerClient(broker.port, theirs.authority, theirs, client_id=f"{COLLECTOR}-1")
    assert await asyncio.to_thread(observer.connect), observer.refused
    for topic_filter in topics.shard_filters(topics.shard_of(GATEWAY)):
        assert await asyncio.to_thread(observer.subscribe, topic_filter)
    stack.push_async_callback(asyncio.to_thread, observer.close)
    proxy = await stack.enter_async_context(FaultyLink("127.0.0.1", broker.port))
    settings = UplinkSettings(
        host="127.0.0.1",
        port=proxy.port,
        ca_file=ours.authority,
        cert_file=ours.certificate,
        key_file=ours.key,
    )
    return MqttWorld(mqtt_links(settings, GATEWAY, WILL), observer, proxy)


@pytest_asyncio.fixture(params=["memory", "mqtt"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        if request.param == "memory":
            yield MemoryWorld()
        else:
            yield await mqtt_world(tmp_path, stack)


async def test_what_is_published_arrives_in_order(world: World) -> None:
    payloads = [bytes([number]) * (1 + 700 * number) for number in range(40)]
    async with world.links() as link:
        for payload in payloads:
            link.publish(UP, payload)
        await link.flush(30)
        await wait_until(lambda: len(world.heard()) >= len(payloads), what="all arrived")
    assert [one for one in world.heard() if one[0] == UP] == [(UP, one) for one in payloads]


async def test_the_largest_message_passes_and_a_larger_one_is_refused(world: World) -> None:
    async with world.links() as link:
        with pytest.raises(TransportError, match="at most"):
            link.publish(UP, bytes(MAX_BYTES + 1))
        link.publish(UP, bytes(MAX_BYTES))
        await wait_until(lambda: world.heard(), what="the largest has arrived")
    assert len(world.heard()[0][1]) == MAX_BYTES


async def test_what_comes_down_is_received_in_order(world: World) -> None:
    async with world.links() as link, asyncio.timeout(180):
        await world.send([b"one", b"two", b"three"])
        received = [await link.receive() for _ in range(3)]
    assert [(one.topic, one.payload) for one in received] == [
        (DOWN, b"one"),
        (DOWN, b"two"),
        (DOWN, b"three"),
    ]


async def test_a_broken_link_says_so_and_the_will_is_told(world: World) -> None:
    async with world.links() as link:
        link.publish(STATE, b"here", retained=True)
        await link.flush(30)
        world.break_link()
        async with asyncio.timeout(180):
            with pytest.raises(TransportError):
                await link.receive()
        with pytest.raises(TransportError):
            link.publish(UP, b"too late")
    await wait_until(lambda: (STATE, WILL) in world.heard(), what="the will is told")


async def test_no_new_link_while_the_broker_is_away(world: World) -> None:
    world.break_link()
    with pytest.raises(TransportError):
        async with world.links():
            pytest.fail("connected to nobody")
    world.mend()
    async with world.links() as link:
        link.publish(UP, b"back")
        await wait_until(lambda: (UP, b"back") in world.heard(), what="back again")


async def test_a_link_that_is_left_tells_no_will(world: World) -> None:
    async with world.links() as link:
        link.publish(STATE, b"bye", retained=True)
        await link.flush(30)
    async with world.links() as link:
        link.publish(UP, b"again")
        await wait_until(lambda: (UP, b"again") in world.heard(), what="the next link works")
    assert (STATE, b"bye") in world.heard()
    assert (STATE, WILL) not in world.heard()


async def test_an_unread_flood_is_bounded_and_its_end_arrives(world: World) -> None:
    """Acks are cumulative: the last one says it all."""
    async with world.links() as link:
        payloads = [str(number).encode() for number in range(600)]
        await world.send(payloads)
        await world.send([b"last"])
        received: list[bytes] = []
        async with asyncio.timeout(180):
            while not received or received[-1] != b"last":
                received.append((await link.receive()).payload)
    assert len(received) <= len(payloads) + 1
