"""Each client moves in its own subtree, on both brokers. A PUBACK proves nothing, silence does."""

import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from support.broker_client import BrokerClient
from support.waiting import wait_until_sync
from wardlight_cloud.security.broker import BrokerPermissions
from wardlight_cloud.security.ca import CertificateAuthority
from wardlight_cloud.security.roles import Role
from wardlight_lab.broker import Broker
from wardlight_shared import topics
from wardlight_shared.records import Lane
from wardlight_shared.topics import Down

Connect = Callable[..., BrokerClient]
UP_A, UP_B = topics.up("gw-a", Lane.LIVE), topics.up("gw-b", Lane.LIVE)
DOWN_A, DOWN_B = topics.down("gw-a", Down.ACK), topics.down("gw-b", Down.ACK)


def listening_collector(broker: Broker, connect: Connect) -> BrokerClient:
    collector = connect(broker, "collector-1")
    for gateway in ("gw-a", "gw-b"):
        for topic_filter in topics.shard_filters(topics.shard_of(gateway)):
            assert collector.subscribe(topic_filter)
    return collector


def heard_until(client: BrokerClient, last: tuple[str, bytes]) -> list[tuple[str, bytes]]:
    """All that the client heard up to a message that is known to come after the others."""
    wait_until_sync(lambda: last in client.heard, what=f"{last} arrives")
    return client.heard


def test_a_gateway_and_a_collector_hear_each_other(broker: Broker, connect: Connect) -> None:
    collector, gateway = listening_collector(broker, connect), connect(broker, "gw-a")
    assert gateway.subscribe(topics.down_filter("gw-a"))
    gateway.publish(UP_A, b"reading")
    gateway.publish(topics.hello("gw-a"), b"hello")
    heard = heard_until(collector, (topics.hello("gw-a"), b"hello"))
    assert sorted(heard) == sorted([(UP_A, b"reading"), (topics.hello("gw-a"), b"hello")])
    collector.publish(DOWN_A, b"ack")
    assert heard_until(gateway, (DOWN_A, b"ack")) == [(DOWN_A, b"ack")]


def test_a_gateway_cannot_publish_as_another(broker: Broker, connect: Connect) -> None:
    collector, intruder = listening_collector(broker, connect), connect(broker, "gw-a")
    victim = connect(broker, "gw-b")
    assert victim.subscribe(topics.down_filter("gw-b"))
    for topic in (UP_B, topics.state("gw-b"), topics.hello("gw-b"), DOWN_B, DOWN_A):
        intruder.publish(topic, b"forged", retain=True)
    intruder.publish(UP_A, b"own")
    collector.publish(DOWN_B, b"true")
    assert heard_until(collector, (UP_A, b"own")) == [(UP_A, b"own")]
    assert heard_until(victim, (DOWN_B, b"true")) == [(DOWN_B, b"true")]


def test_a_gateway_cannot_listen_to_another(broker: Broker, connect: Connect) -> None:
    collector, intruder = connect(broker, "collector-1"), connect(broker, "gw-a")
    for topic_filter in (topics.down_filter("gw-b"), DOWN_B, "#", "wl/#", "wl/1/+/+/down/#"):
        intruder.subscribe(topic_filter)  # mosquitto grants it and delivers nothing
    intruder.subscribe(topics.down_filter("gw-a"))
    collector.publish(DOWN_B, b"private")
    collector.publish(DOWN_A, b"own")
    heard = heard_until(intruder, (DOWN_A, b"own"))
    assert {topic for topic, _ in heard} == {DOWN_A}


def test_a_gateway_cannot_wiretap_the_brokers_own_delivery(
    broker: Broker, connect: Connect
) -> None:
    """nats-server delivers QoS 1 below $MQTT.sub, where a gateway has permission to listen."""
    collector, intruder = listening_collector(broker, connect), connect(broker, "gw-a")
    victim = connect(broker, "gw-b")
    for topic_filter in ("$MQTT/sub/#", "$MQTT/#", "$SYS/#", "$JS/#"):
        intruder.subscribe(topic_filter)
    intruder.subscribe(topics.down_filter("gw-a"))
    victim.publish(UP_B, b"private")
    heard_until(collector, (UP_B, b"private"))
    collector.publish(DOWN_A, b"own")
    heard = heard_until(intruder, (DOWN_A, b"own"))
    assert [payload for _, payload in heard if payload == b"private"] == []


def test_the_api_sends_configuration_and_nothing_else(broker: Broker, connect: Connect) -> None:
    api, gateway = connect(broker, "api-1"), connect(broker, "gw-a")
    collector = listening_collector(broker, connect)
    assert gateway.subscribe(topics.down_filter("gw-a"))
    for topic in (DOWN_A, topics.down("gw-a", Down.RECEIPT), UP_A):
        api.publish(topic, b"forged")
    api.publish(topics.down("gw-a", Down.CONFIG), b"watch")
    heard = heard_until(gateway, (topics.down("gw-a", Down.CONFIG), b"watch"))
    assert heard == [(topics.down("gw-a", Down.CONFIG), b"watch")]
    gateway.publish(UP_A, b"own")
    assert heard_until(collector, (UP_A, b"own")) == [(UP_A, b"own")]


def test_state_is_retained_and_the_will_replaces_it(broker: Broker, connect: Connect) -> None:
    topic = topics.state("gw-a")
    gateway = connect(broker, "gw-a", will=(topic, b"gone"))
    gateway.publish(topic, b"here", retain=True)
    collector = listening_collector(broker, connect)
    heard_until(collector, (topic, b"here"))
    gateway.drop()
    heard_until(collector, (topic, b"gone"))


def test_the_largest_chunk_of_an_image_passes(broker: Broker, connect: Connect) -> None:
    collector, gateway = listening_collector(broker, connect), connect(broker, "gw-a")
    chunk = bytes(256 * 1024 + 4096)
    gateway.publish(topics.up("gw-a", Lane.BULK), chunk)
    heard_until(collector, (topics.up("gw-a", Lane.BULK), chunk))


def test_without_a_certificate_nobody_gets_in(
    broker: Broker, authority: CertificateAuthority
) -> None:
    client = BrokerClient(broker.port, authority.certificate_file, None)
    assert not client.connect()
    client.close()


def test_a_foreign_authority_lets_nobody_in(
    broker: Broker, authority: CertificateAuthority, tmp_path: Path
) -> None:
    foreign = CertificateAuthority.open(tmp_path / "foreign")
    pair = foreign.issue_client("gw-a", Role.GATEWAY)
    client = BrokerClient(broker.port, authority.certificate_file, pair)
    assert not client.connect()
    client.close()


def test_a_client_refuses_a_broker_of_a_foreign_authority(broker: Broker, tmp_path: Path) -> None:
    """By the standard library alone: paho leaves its socket open when the handshake fails."""
    foreign = CertificateAuthority.open(tmp_path / "foreign")
    context = ssl.create_default_context(cafile=foreign.certificate_file)
    with (
        socket.create_connection(("127.0.0.1", broker.port)) as connection,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        context.wrap_socket(connection, server_hostname="127.0.0.1")


def test_a_servers_certificate_is_no_clients(
    broker: Broker, authority: CertificateAuthority
) -> None:
    pair = authority.ensure_server([], name="gw-a")
    client = BrokerClient(broker.port, authority.certificate_file, pair)
    assert not client.connect()
    client.close()


async def test_a_gateway_added_later_gets_in(broker: Broker, connect: Connect) -> None:
    collector = connect(broker, "collector-1")
    topic = topics.up("gw-new", Lane.LIVE)
    for topic_filter in topics.shard_filters(topics.shard_of("gw-new")):
        assert collector.subscribe(topic_filter)
    await broker.reload(
        BrokerPermissions(gateways=["gw-a", "gw-b", "gw-new"], collectors=["collector-1"])
    )

    def gets_through() -> bool:
        gateway = connect(broker, "gw-new")
        if gateway.is_connected:
            gateway.publish(topic, b"first")
        return (topic, b"first") in collector.heard

    wait_until_sync(gets_through)


async def test_a_removed_gateway_is_cut_and_the_others_are_not(
    broker: Broker, connect: Connect
) -> None:
    collector = listening_collector(broker, connect)
    removed, kept = connect(broker, "gw-a"), connect(broker, "gw-b")
    assert removed.subscribe(topics.down_filter("gw-a"))
    assert kept.subscribe(topics.down_filter("gw-b"))
    await broker.reload(BrokerPermissions(gateways=["gw-b"], collectors=["collector-1"]))

    def is_cut() -> bool:
        """Whether a message of the removed one, sent before one of the other, stays away."""
        collector.heard.clear()
        if not removed.has_lost.is_set():
            removed.client.publish(UP_A, b"after", qos=1)
        kept.publish(UP_B, b"after")
        return (UP_A, b"after") not in heard_until(collector, (UP_B, b"after"))

    wait_until_sync(is_cut)
    removed.heard.clear()
    collector.publish(DOWN_A, b"for nobody")
    collector.publish(DOWN_B, b"for the other")
    heard_until(kept, (DOWN_B, b"for the other"))
    assert removed.heard == []
    assert not kept.has_lost.is_set()


def test_a_gateway_nobody_named_reaches_nobody(broker: Broker, connect: Connect) -> None:
    collector, stranger = listening_collector(broker, connect), connect(broker, "gw-x")
    if stranger.is_connected:  # mosquitto asks for a certificate, not for a list
        for topic in (UP_A, topics.up("gw-x", Lane.LIVE)):
            stranger.publish(topic, b"forged")
    gateway = connect(broker, "gw-a")
    gateway.publish(UP_A, b"own")
    assert heard_until(collector, (UP_A, b"own")) == [(UP_A, b"own")]
