"""Real brokers with a collector's and some gateways' certificates."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from support.broker_client import BrokerClient
from support.collector_world import SCHEMA, CollectorWorld
from support.postgres import FreshDatabase
from support.speaking_gateway import SpeakingGateway
from wardlight_cloud.config import BrokerSettings
from wardlight_cloud.security.broker import BrokerPermissions
from wardlight_cloud.security.ca import CertificateAuthority
from wardlight_cloud.security.roles import Role
from wardlight_lab.broker import Broker, Mosquitto, NatsServer

GATEWAYS = [f"gw-test-{number}" for number in range(1, 9)]
COLLECTORS = [f"collector-{number}" for number in range(1, 5)]
PERMISSIONS = BrokerPermissions(gateways=GATEWAYS, collectors=COLLECTORS)

Speak = Callable[..., SpeakingGateway]
SettingsOf = Callable[[str], BrokerSettings]


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return CertificateAuthority.open(tmp_path_factory.mktemp("authority"))


@pytest.fixture(params=[NatsServer, Mosquitto], ids=["nats", "mosquitto"])
async def broker(
    request: pytest.FixtureRequest,
    peer: Callable[[str], Path],
    tmp_path: Path,
    authority: CertificateAuthority,
) -> AsyncIterator[Broker]:
    """Each kind in turn; mosquitto comes from the system and may be missing."""
    kind: type[Broker] = request.param
    if kind is Mosquitto:
        peer("mosquitto")
    async with kind(tmp_path / "broker", authority, PERMISSIONS) as running:
        yield running


@pytest.fixture
def link_settings(broker: Broker, authority: CertificateAuthority) -> SettingsOf:
    """Broker settings of a collector."""

    def settings_of(collector: str) -> BrokerSettings:
        own = authority.ensure_client(collector, Role.COLLECTOR)
        return BrokerSettings(
            port=broker.port,
            ca_file=own.authority,
            cert_file=own.certificate,
            key_file=own.key,
        )

    return settings_of


@pytest.fixture
def speak(broker: Broker, authority: CertificateAuthority) -> Iterator[Speak]:
    """Makes connected, listening gateways; they leave at the end."""
    made: list[BrokerClient] = []

    def make(gateway: str = GATEWAYS[0], epoch: int = 7_001) -> SpeakingGateway:
        own = authority.ensure_client(gateway, Role.GATEWAY)
        client = BrokerClient(broker.port, own.authority, own, f"{gateway}-{len(made)}")
        assert client.connect()
        made.append(client)
        speaking = SpeakingGateway(client, gateway, epoch)
        speaking.listen()
        return speaking

    yield make
    for client in made:
        client.close()


@pytest.fixture
async def world(
    tmp_path: Path, fresh_database: FreshDatabase, link_settings: SettingsOf
) -> AsyncIterator[CollectorWorld]:
    """A database that knows the gateways; its collectors end with the test."""
    made = CollectorWorld(tmp_path, await fresh_database(SCHEMA), link_settings)
    store = await made.open_store()
    for gateway in GATEWAYS:
        await store.put_gateway(gateway)
    await store.close()
    yield made
    await made.stop()
