"""Certificates of a data folder: made once, renewed in time, never half written."""

import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from wardlight_cloud.security.ca import AuthorityError, CertificateAuthority, Credentials
from wardlight_cloud.security.roles import Role

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
YEAR = timedelta(days=365)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def authority(folder: Path, clock: Clock | None = None) -> CertificateAuthority:
    return CertificateAuthority.open(folder / "ca", clock=clock or Clock())


def certificate(credentials: Credentials) -> x509.Certificate:
    return x509.load_pem_x509_certificate(credentials.certificate.read_bytes())


def store_of(ca: CertificateAuthority) -> Store:
    return Store([x509.load_pem_x509_certificate(ca.certificate_file.read_bytes())])


def test_a_server_is_verified_under_its_names_and_the_loopback(tmp_path: Path) -> None:
    """By an independent verifier that follows RFC 5280 and the web's rules."""
    ca = authority(tmp_path)
    issued = certificate(ca.issue_server(["broker.ward.example", "10.0.0.7"]))
    policy = PolicyBuilder().store(store_of(ca)).time(NOW)
    for name in (
        x509.DNSName("broker.ward.example"),
        x509.DNSName("localhost"),
        x509.IPAddress(ip_address("10.0.0.7")),
        x509.IPAddress(ip_address("127.0.0.1")),
        x509.IPAddress(ip_address("::1")),
    ):
        chain = policy.build_server_verifier(name).verify(issued, [])
        assert len(chain) == 2
    with pytest.raises(VerificationError):
        policy.build_server_verifier(x509.DNSName("other.example")).verify(issued, [])


def test_a_client_is_named_by_its_subject_alone(tmp_path: Path) -> None:
    issued = certificate(authority(tmp_path).issue_client("gw-1-home", Role.GATEWAY))
    assert issued.subject.rfc4514_string() == "CN=gw-1-home,OU=gateway"
    usage = issued.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    with pytest.raises(x509.ExtensionNotFound):
        issued.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    key = issued.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert isinstance(key.curve, ec.SECP256R1)


def test_another_folders_authority_is_a_stranger(tmp_path: Path) -> None:
    ours, theirs = authority(tmp_path / "a"), authority(tmp_path / "b")
    issued = certificate(theirs.issue_server([]))
    verifier = PolicyBuilder().store(store_of(ours)).time(NOW)
    with pytest.raises(VerificationError):
        verifier.build_server_verifier(x509.DNSName("localhost")).verify(issued, [])
    subjects = {
        x509.load_pem_x509_certificate(ca.certificate_file.read_bytes()).subject
        for ca in (ours, theirs)
    }
    assert len(subjects) == 2


def test_it_is_made_once(tmp_path: Path) -> None:
    first = authority(tmp_path).certificate_file.read_bytes()
    assert authority(tmp_path).certificate_file.read_bytes() == first


def test_those_who_open_it_at_once_agree(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        opened = list(pool.map(lambda _: authority(tmp_path), range(8)))
    issued = [ca.issue_client(f"gw-{n}-x", Role.GATEWAY) for n, ca in enumerate(opened)]
    root = x509.load_pem_x509_certificate(opened[0].certificate_file.read_bytes())
    for credentials in issued:
        certificate(credentials).verify_directly_issued_by(root)


def test_every_file_is_private(tmp_path: Path) -> None:
    ca = authority(tmp_path)
    ca.issue_server([])
    ca.issue_client("collector-1", Role.COLLECTOR)
    files = [path for path in (tmp_path / "ca").rglob("*") if path.is_file()]
    assert len(files) >= 6
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert stat.S_IMODE((tmp_path / "ca").stat().st_mode) == 0o700


def test_validity_is_a_year_and_a_month_begun_a_day_ago(tmp_path: Path) -> None:
    issued = certificate(authority(tmp_path).issue_server([]))
    assert issued.not_valid_before_utc == NOW - timedelta(days=1)
    assert issued.not_valid_after_utc == NOW + timedelta(days=397)


def test_ensure_keeps_a_good_certificate(tmp_path: Path) -> None:
    ca = authority(tmp_path)
    first = certificate(ca.ensure_client("gw-one", Role.GATEWAY)).serial_number
    assert certificate(ca.ensure_client("gw-one", Role.GATEWAY)).serial_number == first
    server = certificate(ca.ensure_server(["a.example"])).serial_number
    assert certificate(ca.ensure_server([])).serial_number == server


def test_ensure_renews_in_the_last_third_under_the_same_path(tmp_path: Path) -> None:
    clock = Clock()
    ca = authority(tmp_path, clock)
    first = ca.ensure_client("gw-one", Role.GATEWAY)
    serial = certificate(first).serial_number
    clock.now = NOW + timedelta(days=260)
    assert certificate(ca.ensure_client("gw-one", Role.GATEWAY)).serial_number == serial
    clock.now = NOW + timedelta(days=270)
    renewed = ca.ensure_client("gw-one", Role.GATEWAY)
    assert renewed == first
    assert certificate(renewed).serial_number != serial


def test_a_new_name_needs_a_new_server_certificate(tmp_path: Path) -> None:
    ca = authority(tmp_path)
    serial = certificate(ca.ensure_server([])).serial_number
    assert certificate(ca.ensure_server(["new.example"])).serial_number != serial


@pytest.mark.parametrize("damage", ["missing key", "foreign key", "cut certificate"])
def test_ensure_replaces_what_is_damaged(tmp_path: Path, damage: str) -> None:
    ca = authority(tmp_path)
    current = ca.ensure_client("gw-one", Role.GATEWAY)
    serial = certificate(current).serial_number
    if damage == "missing key":
        current.key.unlink()
    elif damage == "foreign key":
        current.key.write_bytes(ca.ensure_client("gw-two", Role.GATEWAY).key.read_bytes())
    else:
        current.certificate.write_bytes(current.certificate.read_bytes()[:100])
    assert certificate(ca.ensure_client("gw-one", Role.GATEWAY)).serial_number != serial


def test_the_issue_before_is_kept_and_older_ones_are_not(tmp_path: Path) -> None:
    ca = authority(tmp_path)
    for _ in range(4):
        ca.issue_client("gw-one", Role.GATEWAY)
    home = tmp_path / "ca" / "clients" / "gateway" / "gw-one"
    assert len([entry for entry in home.iterdir() if not entry.is_symlink()]) == 2


def test_a_name_of_another_role_is_refused(tmp_path: Path) -> None:
    ca = authority(tmp_path)
    with pytest.raises(ValueError, match="is no name of a gateway"):
        ca.issue_client("collector-1", Role.GATEWAY)
    with pytest.raises(ValueError, match="is no name of a collector"):
        ca.issue_client("gw-1-home", Role.COLLECTOR)
    with pytest.raises(ValueError, match="is no name of a server"):
        ca.issue_server([], name="../../escape")


def test_an_authority_interrupted_while_it_was_made_is_made_again(tmp_path: Path) -> None:
    folder = tmp_path / "ca"
    folder.mkdir()
    (folder / "ca.key").write_text("half a k")
    certificate(authority(tmp_path).issue_server([]))


def test_an_authority_without_its_key_says_what_to_do(tmp_path: Path) -> None:
    authority(tmp_path)
    (tmp_path / "ca" / "ca.key").unlink()
    with pytest.raises(AuthorityError, match=r"Cannot read ca.crt and ca.key .* Restore"):
        authority(tmp_path)


def test_an_authority_with_anothers_key_is_refused(tmp_path: Path) -> None:
    authority(tmp_path)
    other = tmp_path / "other"
    authority(other)
    (other / "ca" / "ca.key").replace(tmp_path / "ca" / "ca.key")
    with pytest.raises(AuthorityError, match="do not belong together"):
        authority(tmp_path)


def test_an_authority_at_its_end_is_refused_and_outlives_its_leaves(tmp_path: Path) -> None:
    clock = Clock()
    ca = authority(tmp_path, clock)
    clock.now = NOW + timedelta(days=3600)
    end = x509.load_pem_x509_certificate(ca.certificate_file.read_bytes()).not_valid_after_utc
    assert certificate(ca.issue_server([])).not_valid_after_utc == end
    clock.now = NOW + 11 * YEAR
    with pytest.raises(AuthorityError, match="ended on 2036"):
        authority(tmp_path, clock)


def test_the_subject_holds_role_and_name_once(tmp_path: Path) -> None:
    issued = certificate(authority(tmp_path).issue_client("api-1", Role.API))
    assert [(a.oid, a.value) for a in issued.subject] == [
        (NameOID.ORGANIZATIONAL_UNIT_NAME, "api"),
        (NameOID.COMMON_NAME, "api-1"),
    ]
