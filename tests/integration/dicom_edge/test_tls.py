"""DICOM TLS: with and without certificates of modalities, by DCMTK."""

import hashlib
import shutil
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.data import data_manager

from support.dicom_tls import TlsAuthority
from support.dicom_wire import Wire
from support.imaging_process import dcmtk, imaging, run_dcmtk, stored
from support.waiting import wait_until_sync
from wardlight_cloud.security.ca import CertificateAuthority, Credentials
from wardlight_cloud.security.roles import Role
from wardlight_edge.dicom import tls
from wardlight_edge.imaging_settings import PeerSettings, TlsSettings
from wardlight_shared.errors import ConfigError

Peer = Callable[[str], Path]
CT = Path(data_manager.__file__).parent / "test_files" / "CT_small.dcm"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return CertificateAuthority.open(tmp_path_factory.mktemp("pki"))


def _server(authority: CertificateAuthority, *, asks: bool = True) -> TlsSettings:
    own = authority.ensure_server(["localhost", "127.0.0.1"], name="dicom")
    ca = own.authority if asks else None
    return TlsSettings(cert_file=own.certificate, key_file=own.key, ca_file=ca)


def _options(own: Credentials) -> list[str | Path]:
    return ["+tls", own.key, own.certificate, "+cf", own.authority]


def test_a_modality_with_its_certificate(
    tmp_path: Path, peer: Peer, authority: CertificateAuthority
) -> None:
    own = authority.ensure_client("ct-room-3", Role.GATEWAY)
    listed = PeerSettings(calling_ae="CT3", networks=("127.0.0.1",), certificate="ct-room-3")
    settings = {"tls": _server(authority), "peers": (listed,), "admit_loopback": False}
    with imaging(tmp_path, **settings) as running:
        run_dcmtk(peer("echoscu"), running.port, "-aet", "CT3", *_options(own))
        run_dcmtk(peer("storescu"), running.port, "-aet", "CT3", *_options(own), CT)
        assert len(stored(tmp_path)) == 1
        other = authority.ensure_client("ct-room-4", Role.GATEWAY)
        result = dcmtk(peer("echoscu"), running.port, "-aet", "CT3", *_options(other))
        assert result.returncode != 0
        assert "No Reason" in result.stdout


def test_a_modality_without_certificate_is_let_in_only_where_none_is_asked_for(
    tmp_path: Path, peer: Peer, authority: CertificateAuthority
) -> None:
    ca = authority.certificate_file
    for folder, asks in (("a", True), ("b", False)):
        with imaging(tmp_path / folder, tls=_server(authority, asks=asks)) as running:
            result = dcmtk(peer("echoscu"), running.port, "+tla", "+cf", ca)
            assert (result.returncode != 0) is asks, result.stdout


def test_without_tls_there_is_no_association(
    tmp_path: Path, authority: CertificateAuthority
) -> None:
    with imaging(tmp_path, tls=_server(authority), artim_timeout_s=2.0) as running:
        with Wire(running.port) as wire:
            wire.send(b"\x01\x00")
            assert wire.is_over()
        with Wire(running.port) as silent:
            assert silent.is_over()
        wait_until_sync(lambda: running.status().associations_refused == 2)


def _presented(port: int) -> bytes:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port), 30) as plain,
        context.wrap_socket(plain) as secured,
    ):
        return secured.getpeercert(binary_form=True) or b""


def test_a_renewed_certificate_is_taken_without_a_restart(tmp_path: Path) -> None:
    """Also over one that cannot be used: until the new key is there, the old pair goes on."""
    own = TlsAuthority(tmp_path)
    first, second = own.peer("first"), own.peer("second")
    files = TlsSettings(cert_file=tmp_path / "cert.pem", key_file=tmp_path / "key.pem")
    shutil.copy(first.certificate, files.cert_file)
    shutil.copy(first.key, files.key_file)
    with imaging(tmp_path / "data", tls=files) as running:
        assert hashlib.sha256(_presented(running.port)).digest() == first.fingerprint
        shutil.copy(second.certificate, tmp_path / "new")
        (tmp_path / "new").replace(files.cert_file)
        assert hashlib.sha256(_presented(running.port)).digest() == first.fingerprint
        shutil.copy(second.key, tmp_path / "new")
        (tmp_path / "new").replace(files.key_file)
        assert hashlib.sha256(_presented(running.port)).digest() == second.fingerprint


def test_keys_that_others_may_read_are_refused(
    tmp_path: Path, authority: CertificateAuthority
) -> None:
    settings = _server(authority)
    key = tmp_path / "open.key"
    key.write_bytes(settings.key_file.read_bytes())
    key.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        tls.server_context(TlsSettings(cert_file=settings.cert_file, key_file=key))


def test_files_that_are_no_certificates_are_named(
    tmp_path: Path, authority: CertificateAuthority
) -> None:
    settings = _server(authority)
    nothing = tmp_path / "nothing"
    nothing.write_text("nothing")
    nothing.chmod(0o600)
    for wrong in (
        TlsSettings(cert_file=nothing, key_file=settings.key_file),
        TlsSettings(cert_file=settings.cert_file, key_file=tmp_path / "absent"),
        TlsSettings(cert_file=settings.cert_file, key_file=settings.key_file, ca_file=nothing),
    ):
        with pytest.raises(ConfigError, match=r"dicom\.tls"):
            tls.server_context(wrong)
