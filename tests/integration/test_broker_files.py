"""The broker configurations we hand out keep gateways apart, on the real brokers.

They run as they stand in firmware-configs/gateway, only with other paths and ports, and with
certificates of scripts/pki.
"""

import re
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from support.peers import missing, require_peer
from support.ports import free_port, is_listening
from support.tree import ROOT
from support.waiting import wait_until_sync
from wardlight_cloud.config import BrokerSettings
from wardlight_cloud.security.broker import MOSQUITTO_FIRST_LINE, BrokerPermissions
from wardlight_shared import topics
from wardlight_shared.records import Lane

FILES = ROOT / "firmware-configs" / "gateway"
OWN = "gateway-1"
FOREIGN = "gateway-2"
LET_IN = BrokerPermissions(gateways=[OWN, FOREIGN], collectors=["collector-1"])


class Client:
    """A connected MQTT client that keeps what it received; ends with its `with` block."""

    def __init__(self, pki: Path, name: str | None, port: int) -> None:
        self.received: list[tuple[str, bytes]] = []
        self.granted: list[int] = []
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"{name or 'nobody'}-x",
            protocol=MQTTProtocolVersion.MQTTv311,
        )
        context = ssl.create_default_context(cafile=str(pki / "ca.pem"))
        if name is not None:
            context.load_cert_chain(pki / f"{name}.pem", pki / f"{name}.key")
        self._client.tls_set_context(context)
        self._client.on_message = lambda _client, _data, message: self.received.append(
            (message.topic, bytes(message.payload))
        )
        self._client.on_subscribe = lambda _client, _data, _mid, reasons, _properties: (
            self.granted.extend(reason.value for reason in reasons)
        )
        self._client.connect("localhost", port)
        self._client.loop_start()

    def __enter__(self) -> "Client":
        wait_until_sync(self._client.is_connected, what="connection to the broker")
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def subscribe(self, *filters: str) -> None:
        """Subscribe, and wait for the broker's answer to each."""
        expected = len(self.granted) + len(filters)
        self._client.subscribe([(each, 1) for each in filters])
        wait_until_sync(lambda: len(self.granted) >= expected, what="SUBACK")

    def publish(self, topic: str, payload: bytes) -> None:
        """Publish with QoS 1 and wait for the PUBACK, which a refused message gets too."""
        self._client.publish(topic, payload, qos=1).wait_for_publish(30)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require_peer("openssl")
    folder = tmp_path_factory.mktemp("pki")
    make = str(ROOT / "scripts" / "pki")
    for arguments in (
        ["server", "broker", "localhost", "127.0.0.1"],
        ["collector", "collector-1"],
        ["gateway", OWN],
        ["gateway", FOREIGN],
    ):
        command = [make, str(folder), *arguments]
        subprocess.run(command, check=True, timeout=180, capture_output=True)
    return folder


@contextmanager
def _running(command: list[str], log: Path, port: int) -> Iterator[None]:
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as peer:
        try:
            wait_until_sync(
                lambda: peer.poll() is not None or is_listening(port), what=f"port {port}"
            )
            assert peer.poll() is None, log.read_text()
            yield
        finally:
            peer.terminate()


def _mosquitto(pki: Path, folder: Path, port: int) -> list[str]:
    program = require_peer("mosquitto")
    text = (FILES / "mosquitto.conf").read_text(encoding="utf-8")
    text = text.replace("/etc/wardlight/pki", str(pki)).replace("/etc/wardlight", str(folder))
    acl = folder / "broker" / "mosquitto.acl"
    acl.parent.mkdir()
    acl.write_text(LET_IN.mosquitto_acl())
    text = re.sub(r"^listener 8883$", f"listener {port} 127.0.0.1", text, flags=re.MULTILINE)
    text += "user root\n"  # as root it would change to an account that cannot read the test's keys
    (folder / "mosquitto.conf").write_text(text)
    return [str(program), "-c", str(folder / "mosquitto.conf")]


def _nats(pki: Path, folder: Path, port: int) -> list[str]:
    program = Path(sys.executable).parent / "nats-server"
    if not program.is_file():
        missing("nats-server", "make venv")
    text = (FILES / "nats-server.conf").read_text(encoding="utf-8")
    text = text.replace("/etc/wardlight/pki", str(pki))
    text = text.replace("/var/lib/wardlight-nats", str(folder))
    text = text.replace("8883", str(port)).replace("4222", "-1")
    text = re.sub(r"host: 0[.0]+", "host: 127.0.0.1", text)
    (folder / "nats-server.conf").write_text(text)
    (folder / "nats-permissions.conf").write_text(LET_IN.nats_authorization())
    return [str(program), "-c", str(folder / "nats-server.conf")]


@pytest.fixture(scope="module", params=[_mosquitto, _nats], ids=["mosquitto", "nats"])
def port(
    request: pytest.FixtureRequest, pki: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[int]:
    folder, port = tmp_path_factory.mktemp("broker"), free_port()
    with _running(request.param(pki, folder, port), folder / "log", port):
        yield port


def test_gateway_reaches_collectors_from_its_own_topics_only(pki: Path, port: int) -> None:
    with ExitStack() as stack:
        collector = stack.enter_context(Client(pki, "collector-1", port))
        shards = range(topics.SHARDS)
        collector.subscribe(*(each for shard in shards for each in topics.shard_filters(shard)))
        gateway = stack.enter_context(Client(pki, OWN, port))
        gateway.publish(topics.up(FOREIGN, Lane.LIVE), b"forged")
        gateway.publish(topics.state(FOREIGN), b"forged")
        gateway.publish(topics.up(OWN, Lane.LIVE), b"true")
        gateway.publish(topics.state(OWN), b"true")
        # One publisher's messages arrive in order: with the last one here, a forged one would be.
        wait_until_sync(lambda: len(collector.received) >= 2, what="two messages of the gateway")
        assert collector.received == [
            (topics.up(OWN, Lane.LIVE), b"true"),
            (topics.state(OWN), b"true"),
        ]


def test_gateway_hears_only_what_is_for_it(pki: Path, port: int) -> None:
    with ExitStack() as stack:
        gateway = stack.enter_context(Client(pki, OWN, port))
        gateway.subscribe(topics.down_filter(OWN))
        gateway.subscribe(topics.down_filter(FOREIGN))
        collector = stack.enter_context(Client(pki, "collector-1", port))
        collector.publish(topics.down(FOREIGN, topics.Down.ACK), b"not for you")
        collector.publish(topics.down(OWN, topics.Down.ACK), b"for you")
        wait_until_sync(lambda: gateway.received, what="the message to the gateway")
        assert gateway.received == [(topics.down(OWN, topics.Down.ACK), b"for you")]


def test_gateway_cannot_speak_as_a_collector(pki: Path, port: int) -> None:
    with ExitStack() as stack:
        other = stack.enter_context(Client(pki, FOREIGN, port))
        other.subscribe(topics.down_filter(FOREIGN))
        gateway = stack.enter_context(Client(pki, OWN, port))
        gateway.publish(topics.down(FOREIGN, topics.Down.CONFIG), b"forged")
        collector = stack.enter_context(Client(pki, "collector-1", port))
        collector.publish(topics.down(FOREIGN, topics.Down.CONFIG), b"true")
        wait_until_sync(lambda: other.received, what="the collector's message")
        assert [payload for _, payload in other.received] == [b"true"]


def test_no_certificate_no_connection(pki: Path, port: int) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
        client = Client(pki, None, port)
        try:
            wait_until_sync(client._client.is_connected, deadline_s=3)
        finally:
            client.__exit__()


@pytest.mark.parametrize("name", ["nats-permissions.conf", "mosquitto.acl"])
def test_example_permissions_are_what_the_product_writes(name: str) -> None:
    """An operator who starts from the example is not surprised when the cloud takes over."""
    defaults = BrokerSettings()
    permissions = BrokerPermissions(
        gateways=[OWN], collectors=defaults.collectors, apis=defaults.apis
    )
    is_nats = name.startswith("nats")
    written = permissions.nats_authorization() if is_nats else permissions.mosquitto_acl()
    example = (FILES / name).read_text(encoding="utf-8")
    first = "authorization" if is_nats else MOSQUITTO_FIRST_LINE
    assert example[example.index(first) :] == written[written.index(first) :]
