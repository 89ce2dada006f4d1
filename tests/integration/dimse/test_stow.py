"""The STOW-RS client against Debian's Orthanc, and against a service with TLS and a token."""

import json
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest

from support.dicom_files import bundled, dataset_of
from support.dicom_tls import TlsAuthority
from support.peers import missing, require_peer
from support.ports import is_listening
from support.waiting import wait_until_sync
from wardlight_cloud.config import DicomSettings
from wardlight_cloud.dimse.stow import StowClient, StowRefusedError
from wardlight_cloud.dimse.trying import answer_of
from wardlight_cloud.store.forwarding import ForwardTarget
from wardlight_lab.bench.orthanc import ROOT, Orthanc
from wardlight_lab.bench.setting import UnfitMachine

CT = "CT_small.dcm"
UID = str(dataset_of(bundled(CT)).SOPInstanceUID)
TOKEN = "a-token-of-a-test"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "object"
    made.write_bytes(bundled(CT))
    return made


@pytest.fixture
def orthanc(tmp_path: Path) -> Iterator[str]:
    """Its address."""
    require_peer("Orthanc")
    server = Orthanc(tmp_path / "orthanc")
    try:
        child = server.child()
    except UnfitMachine as error:
        missing("Orthanc's DICOMweb", str(error))
    assert not callable(child.command)
    process = subprocess.Popen(
        child.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=tmp_path
    )
    try:
        wait_until_sync(lambda: is_listening(server.http_port), 60, "Orthanc listens")
        yield f"http://127.0.0.1:{server.http_port}"
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.long  # Orthanc is none of the peers that `make test` installs
def test_orthanc_takes_an_instance_once(orthanc: str, file: Path) -> None:
    target = ForwardTarget(url=orthanc + ROOT)
    does_answer, told = answer_of(target, {}, DicomSettings())
    assert does_answer, told
    with StowClient(target, timeout_s=30) as client:
        client.store(file, UID)
        client.store(file, UID)  # as after a crash between the sending and the note of it
        file.write_bytes(b"no image")
        with pytest.raises(StowRefusedError):
            client.store(file, UID)
    (instance,) = httpx.get(f"{orthanc}/instances", timeout=180).json()
    kept = httpx.get(f"{orthanc}/instances/{instance}/file", timeout=180)
    assert dataset_of(kept.content) == dataset_of(bundled(CT))


class Service(BaseHTTPRequestHandler):
    """Takes what comes with the token, and says so as PS3.18 has it."""

    protocol_version = "HTTP/1.1"
    taken: ClassVar[list[bytes]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._say(401, {})
            return
        boundary = self.headers["Content-Type"].rpartition("boundary=")[2].encode()
        self.taken.append(body.split(b"\r\n\r\n", 1)[1].partition(b"\r\n--" + boundary)[0])
        self._say(200, {"00081199": {"vr": "SQ", "Value": [{"00081155": {"Value": [UID]}}]}})

    def _say(self, status: int, told: dict[str, Any]) -> None:
        octets = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/dicom+json")
        self.send_header("Content-Length", str(len(octets)))
        self.end_headers()
        self.wfile.write(octets)

    def log_message(self, format: str, *arguments: Any) -> None:
        """No log."""


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a service with a certificate of an authority of the site."""
    authority = TlsAuthority(tmp_path)
    own = authority.peer("service")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own.certificate, own.key)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    Service.taken.clear()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("SSL_CERT_FILE", str(own.authority))
    yield f"https://127.0.0.1:{server.server_address[1]}/dicom-web"
    server.shutdown()
    thread.join(180)
    server.server_close()


def test_a_service_with_tls_and_a_token(
    service: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PACS_TOKEN", TOKEN)
    with StowClient(ForwardTarget(url=service, token_env="PACS_TOKEN"), timeout_s=30) as client:
        client.store(file, UID)
    assert Service.taken == [file.read_bytes()]
    monkeypatch.setenv("PACS_TOKEN", "another")
    with (
        StowClient(ForwardTarget(url=service, token_env="PACS_TOKEN"), timeout_s=30) as client,
        pytest.raises(StowRefusedError, match="401") as raised,
    ):
        client.store(file, UID)
    assert not raised.value.is_final


def test_a_service_of_an_unknown_authority_gets_nothing(
    service: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with (
        StowClient(ForwardTarget(url=service), timeout_s=30) as client,
        pytest.raises(ssl.SSLError),
    ):
        client.store(file, UID)
    assert not Service.taken
