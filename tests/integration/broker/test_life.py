"""A broker starts where it is told, survives a broken file, and comes back after a kill -9."""

import json
import os
import re
import signal
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from support.broker_client import BrokerClient
from support.waiting import wait_until, wait_until_sync
from wardlight_cloud.security.broker import BrokerPermissions
from wardlight_cloud.security.broker_reload import BrokerReloadError
from wardlight_cloud.security.ca import CertificateAuthority, Credentials
from wardlight_cloud.security.certificates import make_client, pair_from_pem
from wardlight_cloud.security.roles import Role
from wardlight_lab.broker import Broker, NatsServer
from wardlight_lab.broker_programs import BrokerError
from wardlight_shared import topics
from wardlight_shared.records import Lane
from wardlight_shared.topics import Down

Connect = Callable[..., BrokerClient]
UP_A = topics.up("gw-a", Lane.LIVE)
DOWN_B = topics.down("gw-b", Down.ACK)


def assert_the_rules_hold(broker: Broker, connect: Connect) -> None:
    """Gateway A reaches the collector and does not hear what is for gateway B."""
    collector, gateway = connect(broker, "collector-1"), connect(broker, "gw-a")
    for topic_filter in topics.shard_filters(topics.shard_of("gw-a")):
        assert collector.subscribe(topic_filter)
    gateway.subscribe("#")
    gateway.subscribe(topics.down_filter("gw-a"))
    collector.publish(DOWN_B, b"private")
    collector.publish(topics.down("gw-a", Down.ACK), b"own")
    gateway.publish(UP_A, b"reading")
    wait_until_sync(lambda: (UP_A, b"reading") in collector.heard)
    wait_until_sync(lambda: gateway.heard != [])
    assert {topic for topic, _ in gateway.heard} == {topics.down("gw-a", Down.ACK)}
    for client in (collector, gateway):
        client.close()


async def test_a_broken_file_changes_nothing(broker: Broker, connect: Connect) -> None:
    text = broker.permissions_file.read_text()
    broker.permissions_file.write_text(text[: len(text) // 2] + "\n{ broken\n")
    with pytest.raises(BrokerReloadError):
        await broker.reload()
    assert_the_rules_hold(broker, connect)
    broker.permissions_file.unlink()
    with pytest.raises(BrokerReloadError):
        await broker.reload()
    assert_the_rules_hold(broker, connect)


async def test_nats_keeps_its_permissions_when_told_to_read_a_broken_file(
    tmp_path: Path, authority: CertificateAuthority, connect: Connect
) -> None:
    """Even past our own check, as when somebody sends the signal by hand."""
    named = BrokerPermissions(gateways=["gw-a", "gw-b"], collectors=["collector-1"])
    async with NatsServer(tmp_path, authority, named) as broker:
        broker.permissions_file.write_text("authorization { users: [ { broken")
        assert broker.pid is not None
        os.kill(broker.pid, signal.SIGHUP)
        await wait_until(lambda: "Failed to reload" in broker.log_file.read_text())
        assert_the_rules_hold(broker, connect)


async def test_it_comes_back_at_the_same_port_after_a_kill_9(
    broker: Broker, connect: Connect
) -> None:
    port, pid = broker.port, broker.pid
    client = connect(broker, "gw-a")
    broker.kill()
    await broker.wait_ended()
    assert broker.pid is None
    assert not await broker.is_ready()
    await wait_until(client.has_lost.is_set)
    await broker.start()
    assert broker.port == port
    assert broker.pid not in {None, pid}
    assert_the_rules_hold(broker, connect)


async def test_it_listens_on_the_loopback_alone(broker: Broker) -> None:
    listening = [
        connection.laddr
        for connection in psutil.Process(broker.pid).net_connections()
        if connection.status == psutil.CONN_LISTEN
    ]
    assert {address.ip for address in listening} == {"127.0.0.1"}
    assert broker.port in {address.port for address in listening}


async def test_a_port_that_is_taken_is_named_in_the_error(
    kind: type[Broker], tmp_path: Path, authority: CertificateAuthority
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        broker = kind(tmp_path, authority, BrokerPermissions(), port=port)
        with pytest.raises(BrokerError, match=r"(?s)does not start: .*ddress already in use"):
            async with broker:
                pass


async def test_a_free_port_that_was_lost_meanwhile_is_chosen_anew(
    kind: type[Broker], tmp_path: Path, authority: CertificateAuthority
) -> None:
    broker = kind(tmp_path, authority, BrokerPermissions())
    lost = broker.port
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", lost))
        taken.listen()
        async with broker:
            assert broker.port != lost


async def test_stop_leaves_no_process(broker: Broker) -> None:
    pid = broker.pid
    assert pid is not None
    await broker.aclose()
    assert not psutil.pid_exists(pid)
    assert broker.pid is None


async def test_natss_own_protocol_lets_nobody_in(
    tmp_path: Path, authority: CertificateAuthority
) -> None:
    """There a client could listen where other clients' messages are delivered."""
    named = BrokerPermissions(gateways=["gw-a"])
    async with NatsServer(tmp_path, authority, named) as broker:
        log = broker.log_file.read_text()
        found = re.search(r"Listening for client connections on 127\.0\.0\.1:(\d+)", log)
        assert found is not None
        answer = nats_connect(int(found.group(1)), authority)
    assert "Authorization Violation" in answer


def nats_connect(port: int, authority: CertificateAuthority) -> str:
    """What nats-server answers a good certificate on its own port (NATS client protocol)."""
    pair = authority.ensure_client("gw-a", Role.GATEWAY)
    context = ssl.create_default_context(cafile=authority.certificate_file)
    context.load_cert_chain(pair.certificate, pair.key)
    with socket.create_connection(("127.0.0.1", port), timeout=180) as plain:
        assert plain.recv(4096).startswith(b"INFO ")
        with context.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
            options = json.dumps({"verbose": True, "pedantic": False, "tls_required": True})
            connection.sendall(f"CONNECT {options}\r\nSUB $MQTT.sub.> 1\r\n".encode())
            return connection.recv(4096).decode()


async def test_the_right_name_in_the_wrong_role_is_nobody_to_nats(
    tmp_path: Path, authority: CertificateAuthority
) -> None:
    folder = authority.certificate_file.parent
    ours = pair_from_pem((folder / "ca.crt").read_bytes(), (folder / "ca.key").read_bytes())
    forged = make_client(ours, "collector-1", "gateway", ours.certificate.not_valid_before_utc)
    (tmp_path / "forged.pem").write_bytes(forged.certificate_pem())
    (tmp_path / "forged.key").write_bytes(forged.key_pem())
    pair = Credentials(tmp_path / "forged.pem", tmp_path / "forged.key", authority.certificate_file)
    async with NatsServer(
        tmp_path / "nats", authority, BrokerPermissions(collectors=["collector-1"])
    ) as broker:
        client = BrokerClient(broker.port, authority.certificate_file, pair, "forged")
        assert not client.connect()
        assert client.refused == "Not authorized"
        client.close()
