"""The link to a real broker: it comes back, keeps its filters, and presses back without loss."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from support.speaking_gateway import SpeakingGateway
from support.waiting import wait_until
from wardlight_cloud.config import BrokerSettings
from wardlight_cloud.ingest.link import BrokerLink
from wardlight_cloud.ingest.mqtt import Message
from wardlight_lab.broker import Broker
from wardlight_shared import topics
from wardlight_shared.envelope import MAX_BYTES
from wardlight_shared.errors import ConfigError
from wardlight_shared.records import Lane
from wardlight_shared.topics import Down, shard_filters

SettingsOf = Callable[[str], BrokerSettings]
Speak = Callable[..., SpeakingGateway]
Condition = Callable[[], bool | Awaitable[bool]]
GATEWAY = "gw-test-1"
FILTERS = shard_filters(topics.shard_of(GATEWAY))
NEIGHBOUR = "gw-test-2"
NEIGHBOUR_UP = topics.up(NEIGHBOUR, Lane.LIVE)
UP = topics.up(GATEWAY, Lane.LIVE)


class Inbox:
    """Keeps what it is given; refuses while ``room`` is 0."""

    def __init__(self, room: int = 1_000_000) -> None:
        self.room = room
        self.messages: list[Message] = []

    def __call__(self, message: Message) -> bool:
        if not self.room:
            return False
        self.room -= 1
        self.messages.append(message)
        return True

    def payloads(self) -> list[bytes]:
        return [message.payload for message in self.messages]


async def heard_by(link: BrokerLink, inbox: Inbox, gateway: SpeakingGateway) -> None:
    """The subscription is in force: a message gets through."""

    async def arrived() -> bool:
        await asyncio.to_thread(gateway.client.publish, UP, b"probe")
        return b"probe" in inbox.payloads()

    assert link.is_connected or await wait_until(lambda: link.is_connected)
    heard: Condition = arrived
    await wait_until(heard, what="a message gets through")


async def test_messages_come_up_and_go_down(link_settings: SettingsOf, speak: Speak) -> None:
    inbox, gateway = Inbox(), speak()
    async with BrokerLink(link_settings("collector-1"), "collector-1", inbox) as link:
        link.hold(FILTERS)
        await heard_by(link, inbox, gateway)
        assert link.publish(topics.down(GATEWAY, Down.ACK), b"ack")
        await wait_until(lambda: (topics.down(GATEWAY, Down.ACK), b"ack") in gateway.client.heard)


async def test_filters_that_are_no_longer_held_bring_nothing(
    link_settings: SettingsOf, speak: Speak
) -> None:
    inbox, gateway, neighbour = Inbox(), speak(), speak(NEIGHBOUR)
    other = shard_filters(topics.shard_of(NEIGHBOUR))
    async with BrokerLink(link_settings("collector-1"), "collector-1", inbox) as link:
        link.hold({*FILTERS, *other})
        await heard_by(link, inbox, gateway)
        link.hold(other)

        async def silent() -> bool:
            inbox.messages.clear()
            await asyncio.to_thread(gateway.client.publish, UP, b"unheard")
            await asyncio.to_thread(neighbour.client.publish, NEIGHBOUR_UP, b"heard")
            await wait_until(lambda: b"heard" in inbox.payloads())
            return b"unheard" not in inbox.payloads()

        stopped: Condition = silent
        await wait_until(stopped, what="the broker stops delivering")
        link.hold(FILTERS)
        await heard_by(link, inbox, gateway)


async def test_a_retained_state_comes_with_the_subscription(
    link_settings: SettingsOf, speak: Speak
) -> None:
    inbox, gateway = Inbox(), speak()
    await asyncio.to_thread(gateway.say_online)
    async with BrokerLink(link_settings("collector-1"), "collector-1", inbox) as link:
        link.hold(FILTERS)
        await wait_until(lambda: inbox.messages)
        assert inbox.messages[0].retained
        await asyncio.to_thread(gateway.say_online)
        await wait_until(lambda: len(inbox.messages) == 2)
        assert not inbox.messages[1].retained, "said now, not kept"


async def test_the_link_survives_a_broker_that_is_killed(
    broker: Broker, link_settings: SettingsOf, speak: Speak
) -> None:
    inbox = Inbox()
    async with BrokerLink(link_settings("collector-1"), "collector-1", inbox) as link:
        link.hold(FILTERS)
        await heard_by(link, inbox, speak())
        broker.kill()
        await wait_until(lambda: not link.is_connected)
        assert not link.publish(topics.down(GATEWAY, Down.ACK), b"lost")
        await broker.aclose()
        await broker.start()
        await wait_until(lambda: link.is_connected)
        await heard_by(link, inbox, speak())


async def test_without_room_the_broker_waits_and_nothing_is_lost(
    link_settings: SettingsOf, speak: Speak
) -> None:
    """More than a broker's in-flight window, in order, each once or again, none missing."""
    inbox, gateway = Inbox(), speak()
    sent = [b"%05d" % number for number in range(1500)]
    async with BrokerLink(link_settings("collector-1"), "collector-1", inbox) as link:
        link.hold(FILTERS)
        await heard_by(link, inbox, gateway)
        inbox.messages.clear()
        inbox.room = 0
        for payload in sent:
            await asyncio.to_thread(gateway.client.publish, UP, payload)
        assert not inbox.messages
        while len(set(inbox.payloads()) - {b"probe"}) < len(sent):
            inbox.room = 50
            link.resume()
            await wait_until(lambda: inbox.room < 50)
        seen = [payload for payload in inbox.payloads() if payload != b"probe"]
        assert list(dict.fromkeys(seen)) == sent


async def test_a_message_over_the_limit_is_cut_not_kept_whole(
    link_settings: SettingsOf, speak: Speak
) -> None:
    inbox, gateway = Inbox(), speak()
    async with BrokerLink(link_settings("collector-1"), "collector-1", inbox) as link:
        link.hold(FILTERS)
        await heard_by(link, inbox, gateway)
        inbox.messages.clear()
        await asyncio.to_thread(gateway.client.publish, UP, bytes(300_000))
        await wait_until(lambda: MAX_BYTES + 1 in map(len, inbox.payloads()))


async def test_missing_certificates_are_told_at_once(tmp_path: Path) -> None:
    settings = BrokerSettings(ca_file=tmp_path / "none.pem")
    with pytest.raises(ConfigError, match=r"none\.pem"):
        async with BrokerLink(settings, "collector-1", Inbox()):
            pass
