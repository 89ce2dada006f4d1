"""Real brokers, one of each kind, with two gateways and a collector."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from support.broker_client import BrokerClient
from wardlight_cloud.security.broker import BrokerPermissions
from wardlight_cloud.security.ca import CertificateAuthority, Credentials
from wardlight_cloud.security.roles import Role
from wardlight_lab.broker import Broker, Mosquitto, NatsServer

Connect = Callable[..., BrokerClient]
PERMISSIONS = BrokerPermissions(
    gateways=["gw-a", "gw-b"], collectors=["collector-1"], apis=["api-1"]
)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return CertificateAuthority.open(tmp_path_factory.mktemp("authority"))


@pytest.fixture(params=[NatsServer, Mosquitto], ids=["nats", "mosquitto"])
def kind(request: pytest.FixtureRequest, peer: Callable[[str], Path]) -> type[Broker]:
    """The broker under test; mosquitto comes from the system and may be missing."""
    chosen: type[Broker] = request.param
    if chosen is Mosquitto:
        peer("mosquitto")
    return chosen


@pytest.fixture
async def broker(
    kind: type[Broker], tmp_path: Path, authority: CertificateAuthority
) -> AsyncIterator[Broker]:
    async with kind(tmp_path / "a folder with spaces", authority, PERMISSIONS) as running:
        yield running


@pytest.fixture
def connect(authority: CertificateAuthority) -> Iterator[Connect]:
    """Makes connected clients by name; they leave at the end."""
    made: list[BrokerClient] = []

    def make(broker: Broker, name: str, *, will: tuple[str, bytes] | None = None) -> BrokerClient:
        client = BrokerClient(
            broker.port, authority.certificate_file, credentials(authority, name), name, will
        )
        made.append(client)
        client.connect()
        return client

    yield make
    for client in made:
        client.close()


def credentials(authority: CertificateAuthority, name: str) -> Credentials:
    role = next(role for role in Role if role.accepts(name))
    return authority.ensure_client(name, role)
