"""What is wrong with a gateway's own certificate is said with the key, the file and the remedy."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from wardlight_cloud.security.ca import CertificateAuthority
from wardlight_cloud.security.roles import Role
from wardlight_edge.uplink import certificate
from wardlight_shared.errors import ConfigError

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The certificate of gw-one, made at NOW."""
    authority = CertificateAuthority.open(tmp_path_factory.mktemp("pki"), clock=lambda: NOW)
    return authority.issue_client("gw-one", Role.GATEWAY).certificate


def test_a_good_one_has_no_fault(file: Path) -> None:
    assert certificate.fault(file, "gw-one", NOW) is None
    assert certificate.read(file).name == "gw-one"


def test_one_of_another_gateway_is_named(file: Path) -> None:
    fault = certificate.fault(file, "gw-two", NOW)
    assert fault is not None
    assert str(file) in fault
    assert "'gw-one'" in fault
    assert "gateway = 'gw-two'" in fault


def test_its_time_has_two_ends(file: Path) -> None:
    found = certificate.read(file)
    second = timedelta(seconds=1)
    for moment, words in (
        (found.valid_from - second, "check this gateway's clock"),
        (found.valid_from, None),
        (found.valid_to - second, None),
        (found.valid_to, f"expired on {found.valid_to:%Y-%m-%d}"),
    ):
        fault = certificate.fault(file, "gw-one", moment)
        assert fault is None if words is None else words in str(fault)


@pytest.mark.parametrize("octets", [b"", b"noise", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_what_is_no_certificate_is_said(tmp_path: Path, octets: bytes) -> None:
    noise = tmp_path / "noise.pem"
    noise.write_bytes(octets)
    assert "holds no certificate" in str(certificate.fault(noise, "gw-one", NOW))
    with pytest.raises(ConfigError, match=r"uplink\.cert_file"):
        certificate.read(noise)
