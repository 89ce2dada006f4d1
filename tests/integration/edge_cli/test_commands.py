"""`wardlight-edge doctor` and `status` as an operator runs them: output and exit code."""

import http.server
import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from support.tree import ROOT
from wardlight_cloud.security.ca import CertificateAuthority
from wardlight_cloud.security.roles import Role
from wardlight_edge.cli import main
from wardlight_edge.health import DeviceSnapshot, Snapshot, UplinkSnapshot
from wardlight_edge.outbox.base import Level, OutboxStatus

GATEWAY = "gw-test"


def run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    code = "from wardlight_edge.cli import main; raise SystemExit(main())"
    clean = {name: value for name, value in os.environ.items() if not name.startswith("DBUS_")}
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True, text=True, timeout=180, env={**clean, **environment},
    )  # fmt: skip


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Settings with good keys, no broker, one serial device that is not there."""
    authority = CertificateAuthority.open(tmp_path / "pki")
    keys = authority.ensure_client(GATEWAY, Role.GATEWAY)
    file = tmp_path / "edge.toml"
    file.write_text(
        f"""
gateway = "{GATEWAY}"
data_dir = "data"
profiles_dir = "{ROOT / "firmware-configs"}"

[uplink]
host = "127.0.0.1"
port = 1
ca_file = "{keys.authority}"
cert_file = "{keys.certificate}"
key_file = "{keys.key}"

[[device]]
identity = "serial:bed-1"
profile = "nonin-xpod"
port = "{tmp_path / "ttyUSB0"}"
""",
        encoding="utf-8",
    )
    return file


def findings(text: str) -> dict[str, tuple[bool, str]]:
    lines = [line for line in text.splitlines() if line]
    assert all(line.startswith(("ok   ", "BAD  ")) for line in lines), text
    return {
        line[5:].partition(": ")[0]: (line.startswith("ok"), line[5:].partition(": ")[2])
        for line in lines
    }


def test_doctor_names_each_fault_and_its_remedy(config: Path) -> None:
    result = run("doctor", "--config", config)
    assert result.returncode == 1, result.stderr
    found = findings(result.stdout)
    assert found["profiles"] == (True, "1 in use")
    assert found["uplink.key_file"][0]
    assert not found["broker"][0]
    assert "127.0.0.1:1" in found["broker"][1]
    assert not found["serial:bed-1"][0]
    assert "plugged in" in found["serial:bed-1"][1]
    assert "D-Bus" not in found, "no Bluetooth device is enrolled"


def test_doctor_sees_keys_others_may_read_and_a_profile_that_is_not_there(config: Path) -> None:
    text = config.read_text().replace('"nonin-xpod"', '"nonin-none"')
    config.write_text(text.replace("data_dir", "health_s = 30\ndata_dir"))
    for key in config.parent.glob("pki/**/key.pem"):
        key.chmod(0o644)
    found = findings(run("doctor", "--config", config).stdout)
    good, remedy = found["uplink.key_file"]
    assert not good
    assert "chmod 600" in remedy
    assert not found["profiles"][0]


def test_doctor_looks_for_the_bus_where_bluetooth_is_enrolled(config: Path) -> None:
    device = '[[device]]\nidentity = "ble:C0FFEE000001"\nprofile = "generic-pulse-oximeter"\n'
    config.write_text(config.read_text() + device)
    bus = f"unix:path={config.parent / 'none'}"
    found = findings(run("doctor", "--config", config, DBUS_SYSTEM_BUS_ADDRESS=bus).stdout)
    assert not found["D-Bus"][0]
    assert "apt install dbus bluez" in found["D-Bus"][1]


@pytest.mark.parametrize("command", ["doctor", "status", "run"])
def test_settings_that_cannot_be_used_are_named(command: str, tmp_path: Path) -> None:
    missing = run(command, "--config", tmp_path / "none.toml")
    assert missing.returncode == 2
    assert "none.toml: cannot be read" in missing.stderr
    wrong = tmp_path / "edge.toml"
    wrong.write_text('gateway = "gw-test"\ncolour = "green"\n')
    refused = run(command, "--config", wrong)
    assert refused.returncode == 2
    assert "edge.toml" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_data_dir_that_cannot_be_made_is_named(config: Path) -> None:
    (config.parent / "data").write_text("a file")
    refused = run("run", "--config", config)
    assert refused.returncode == 2
    assert f"data_dir: {config.parent / 'data'} cannot be made" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_second_gateway_on_the_same_outbox_is_refused_in_one_line(config: Path) -> None:
    folder = config.parent / "data"
    folder.mkdir(mode=0o700)
    with sqlite3.connect(folder / "outbox.sqlite", isolation_level=None) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("CREATE TABLE taken (one)")
        other.execute("BEGIN EXCLUSIVE")
        refused = run("run", "--config", config)
    other.close()
    assert refused.returncode == 1
    assert "another process has the outbox open" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_status_of_a_gateway_of_another_account(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its folder is its own: that it cannot be read does not mean that the gateway is down."""

    def refuse(self: Path, *_: object, **__: object) -> str:
        if self.name == "status.port":
            raise PermissionError
        return original(self, encoding="utf-8")

    original = Path.read_text
    monkeypatch.setattr(Path, "read_text", refuse)
    assert main(["status", "--config", str(config)]) == 1
    assert "does not answer on 127.0.0.1 port 8790" in capsys.readouterr().err
    config.write_text(config.read_bytes().decode() + "\n[status]\nport = 0\n")
    assert main(["status", "--config", str(config)]) == 1
    assert "use the account of the gateway" in capsys.readouterr().err


def test_doctor_names_a_certificate_that_does_not_serve(config: Path) -> None:
    good = findings(run("doctor", "--config", config).stdout)["uplink.cert_file"]
    assert good[0]
    assert "valid until" in good[1]
    long_ago = datetime.now(UTC) - timedelta(days=800)
    authority = CertificateAuthority.open(config.parent / "pki", clock=lambda: long_ago)
    authority.issue_client(GATEWAY, Role.GATEWAY)
    expired = findings(run("doctor", "--config", config).stdout)["uplink.cert_file"]
    assert not expired[0]
    assert "has expired on" in expired[1]
    config.write_text(config.read_text().replace(GATEWAY, "gw-other", 1))
    other = findings(run("doctor", "--config", config).stdout)["uplink.cert_file"]
    assert not other[0]
    assert "gateway = 'gw-other'" in other[1]


def test_wrong_usage_is_2() -> None:
    assert run("dance").returncode == 2
    assert run().returncode == 2
    assert run("--version").returncode == 0


def test_status_of_a_gateway_that_does_not_run(config: Path) -> None:
    result = run("status", "--config", config)
    assert result.returncode == 1
    assert "the gateway does not run" in result.stderr
    port_file = config.parent / "data" / "status.port"
    port_file.parent.mkdir()
    port_file.write_text("1\n")
    result = run("status", "--config", config)
    assert result.returncode == 1
    assert "does not answer on 127.0.0.1 port 1" in result.stderr


def snapshot(*trouble: str) -> Snapshot:
    device = DeviceSnapshot("serial:bed-1", "nonin-xpod", "connected", None, 1.0, None, 60, 0, 0)
    defaults = {"level": Level.NORMAL}
    outbox = msgspec.convert(
        {
            field.encode_name: defaults.get(field.name, 0)
            for field in msgspec.structs.fields(OutboxStatus)
            if field.required
        },
        OutboxStatus,
        strict=False,
    )
    uplink = UplinkSnapshot(not trouble, 5.0, 1.0, 12, 0, None)
    return Snapshot(
        GATEWAY, "1.0", 100.0, "ntp", 5, 40 << 20, 20, uplink, outbox, (device,), trouble
    )


@pytest.fixture
def served(config: Path) -> Iterator[list[bytes]]:
    """A status page that answers with the first entry of the list."""
    answers: list[bytes] = []

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answers[0])

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, name="status page")
        thread.start()
        folder = config.parent / "data"
        folder.mkdir()
        (folder / "status.port").write_text(f"{server.server_address[1]}\n")
        yield answers
        server.shutdown()
        thread.join()


def test_status_shows_the_running_gateway(config: Path, served: list[bytes]) -> None:
    served.append(msgspec.json.encode(snapshot()))
    result = run("status", "--config", config)
    assert result.returncode == 0, result.stderr
    assert f"gateway {GATEWAY}" in result.stdout
    assert "serial:bed-1" in result.stdout
    as_json = run("status", "--json", "--config", config)
    assert as_json.returncode == 0
    assert json.loads(as_json.stdout)["gateway"] == GATEWAY


def test_trouble_is_exit_code_1(config: Path, served: list[bytes]) -> None:
    served.append(msgspec.json.encode(snapshot("Not connected to the broker.")))
    result = run("status", "--config", config)
    assert result.returncode == 1
    assert "! Not connected to the broker." in result.stdout
    assert run("status", "--json", "--config", config).returncode == 1


def test_a_page_of_another_version_says_so(config: Path, served: list[bytes]) -> None:
    served.append(b'{"gateway": 5}')
    result = run("status", "--config", config)
    assert result.returncode == 1
    assert "another version" in result.stderr


def test_a_gateway_in_trouble_is_alive(config: Path, served: list[bytes]) -> None:
    """A container's health check must not call a gateway ill because its link is down."""
    served.append(msgspec.json.encode(snapshot("Not connected to the broker.")))
    assert run("status", "--config", config).returncode == 1
    assert run("status", "--alive", "--config", config).returncode == 0
