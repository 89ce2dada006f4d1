"""A real broker with certificates, and the gateway's parts against it."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from support.collector import COLLECTOR, GATEWAY, ScriptedCollector
from wardlight_cloud.security.broker import BrokerPermissions
from wardlight_cloud.security.ca import CertificateAuthority
from wardlight_cloud.security.roles import Role
from wardlight_edge.config import UplinkSettings
from wardlight_lab.broker import NatsServer


@pytest.fixture
def authority(tmp_path: Path) -> CertificateAuthority:
    return CertificateAuthority.open(tmp_path / "pki")


@pytest_asyncio.fixture
async def broker(tmp_path: Path, authority: CertificateAuthority) -> AsyncIterator[NatsServer]:
    permissions = BrokerPermissions(gateways=[GATEWAY], collectors=[COLLECTOR])
    async with NatsServer(tmp_path / "broker", authority, permissions) as running:
        yield running


@pytest.fixture
def uplink_settings(
    broker: NatsServer, authority: CertificateAuthority
) -> Callable[[int | None], UplinkSettings]:
    """Settings of the gateway's way to the broker, or to another port in front of it."""
    credentials = authority.ensure_client(GATEWAY, Role.GATEWAY)

    def settings(port: int | None = None) -> UplinkSettings:
        return UplinkSettings(
            host="127.0.0.1",
            port=port or broker.port,
            ca_file=credentials.authority,
            cert_file=credentials.certificate,
            key_file=credentials.key,
            ack_timeout_s=1.0,
        )

    return settings


@pytest_asyncio.fixture
async def collector(
    broker: NatsServer, authority: CertificateAuthority
) -> AsyncIterator[ScriptedCollector]:
    credentials = authority.ensure_client(COLLECTOR, Role.COLLECTOR)
    async with ScriptedCollector(broker.port, credentials, GATEWAY) as scripted:
        yield scripted
