"""The demo's data folder: where everything lies, and what stays from one start to the next."""

import json
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from wardlight_cloud.private_file import write_private
from wardlight_cloud.security.passwords import new_password
from wardlight_cloud.security.tokens import new_token

GATEWAY: Final = "gw-demo"
COLLECTOR: Final = "collector-demo"
USER: Final = "demo"
CLIENT: Final = "demo-ehr"
BIND_KEY_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class DemoFolder:
    """Paths below the data folder."""

    root: Path

    @property
    def pki(self) -> Path:
        """Certificates."""
        return self.root / "pki"

    @property
    def postgres(self) -> Path:
        """Database files."""
        return self.root / "postgres"

    @property
    def broker(self) -> Path:
        """Broker configuration and its spool."""
        return self.root / "broker"

    @property
    def gateway(self) -> Path:
        """The gateway's settings, outbox and key."""
        return self.root / "gateway"

    @property
    def devices(self) -> Path:
        """State of the emulated devices."""
        return self.root / "devices"

    @property
    def logs(self) -> Path:
        """One log file a process."""
        return self.root / "logs"

    @property
    def edge_toml(self) -> Path:
        """Settings of the gateway."""
        return self.gateway / "edge.toml"

    @property
    def patient_key(self) -> Path:
        """The gateway's secret that turns patient identifiers into keys."""
        return self.gateway / "data" / "patients.key"

    @property
    def bind_key(self) -> Path:
        """The key with which the emulated thermometer encrypts what it advertises."""
        return self.gateway / "thermometer.key"

    @property
    def cloud_toml(self) -> Path:
        """Settings of collector and API."""
        return self.root / "cloud.toml"

    def make(self) -> None:
        """Make all folders, for this account only."""
        for folder in (self.root, self.pki, self.broker, self.gateway, self.devices, self.logs):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)


@dataclass(frozen=True, slots=True)
class Kept:
    """What a second start finds again: secrets and, where they are still free, ports."""

    password: str
    token: str
    http_port: int
    mqtt_port: int
    hl7_port: int
    dicom_port: int
    query_port: int


def keep(folder: DemoFolder, *, http_port: int | None) -> tuple[Kept, list[str]]:
    """Read or make the kept values; returns them with remarks on ports that had to change."""
    file = folder.root / "demo.json"
    old: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    remarks: list[str] = []
    kept = Kept(
        password=old.get("password") or new_password(),
        token=old.get("token") or new_token(),
        http_port=_port(http_port if http_port is not None else old.get("http_port"), remarks),
        mqtt_port=_port(old.get("mqtt_port") or 0, remarks),
        hl7_port=_port(old.get("hl7_port") or 0, remarks),
        dicom_port=_port(old.get("dicom_port") or 0, remarks),
        query_port=_port(old.get("query_port") or 0, remarks),
    )
    write_private(file, json.dumps({name: getattr(kept, name) for name in Kept.__slots__}))
    return kept, remarks


def keep_bind_key(folder: DemoFolder) -> None:
    """Make the thermometer's key, where an earlier start has not."""
    if not folder.bind_key.exists():
        write_private(folder.bind_key, secrets.token_hex(BIND_KEY_BYTES) + "\n")


def _port(wanted: int | None, remarks: list[str]) -> int:
    """``wanted`` if it is free, 8080 if none was wanted and it is free, else any free port."""
    if wanted != 0:
        candidate = wanted or 8080
        if _is_free(candidate):
            return candidate
        remarks.append(f"port {candidate} is taken; another one is used")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
