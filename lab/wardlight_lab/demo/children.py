"""The demo's own child processes: emulated devices, collector, API, gateway, imaging."""

import asyncio
import http.client
import json
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from wardlight_edge.devices import Subject
from wardlight_edge.outbox.key import read_or_make
from wardlight_edge.sessions.subject_keys import SubjectKeys, source_identity
from wardlight_lab.demo.advertising import SPECS
from wardlight_lab.demo.folder import DemoFolder
from wardlight_lab.demo.ward import DemoDevice, bluetooth
from wardlight_lab.demo.ward import serial as serial_ward
from wardlight_lab.devices.ledger import Ledger
from wardlight_lab.devices.scenario import WARD, build, read_scenario
from wardlight_lab.physiology.glucose import capture_lines, iglu_traces, write_capture
from wardlight_lab.supervise import Child

_HTTP_TIMEOUT_S: Final = 2.0
GLUCOSE: Final = "replay:glucose"
_GLUCOSE_OWNER: Final = "ward-5"
MONITORED: Final = "ward-4"


@dataclass(frozen=True, slots=True)
class Announcing:
    """A child that writes a ready file, and the file."""

    child: Child
    ready_file: Path


def _module(name: str, *arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", name, *map(str, arguments)]


def _announcing(folder: DemoFolder, name: str, command: list[str]) -> Announcing:
    file = folder.devices / f"{name}.ready.json"
    file.unlink(missing_ok=True)

    async def before_start() -> None:
        file.unlink(missing_ok=True)

    async def is_ready() -> bool:
        return file.exists()

    child = Child(
        name=name,
        command=[*command, "--ready-file", str(file)],
        before_start=before_start,
        ready=is_ready,
    )
    return Announcing(child, file)


def bluez(folder: DemoFolder, bus_dir: Path) -> Announcing:
    """The fake Bluetooth system; its socket lies in ``bus_dir`` because socket paths are short."""
    state, ledger = folder.devices / "bonds", folder.devices / "bluetooth.jsonl"
    command = _module(
        "wardlight_lab.demo.bluetooth", "--state-dir", state, "--bus-dir", bus_dir,
        "--ledger", ledger, "--bind-key-file", folder.bind_key,
    )  # fmt: skip
    return _announcing(folder, "bluetooth", command)


def serial(folder: DemoFolder) -> Announcing:
    """The serial devices."""
    ports, ledger = folder.devices / "serial", folder.devices / "serial.jsonl"
    command = _module("wardlight_lab.serialport", "--folder", ports, "--ledger", ledger)
    return _announcing(folder, "serial", command)


def serial_devices(ready_file: Path) -> list[DemoDevice]:
    """Devices of the running serial process."""
    return serial_ward(_read(ready_file))


def monitor(folder: DemoFolder, port: int) -> Announcing:
    """The bedside monitor, which sends to the gateway's HL7 port as soon as that is open."""
    command = _module(
        "wardlight_lab.monitor", "--port", str(port), "--patient", MONITORED,
        "--patient-id", MONITORED.upper(), "--ledger", folder.devices / "monitor.jsonl",
    )  # fmt: skip
    return _announcing(folder, "monitor", command)


def monitor_device(folder: DemoFolder) -> DemoDevice:
    """The source under which the gateway stores the monitor's readings."""
    folder.patient_key.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    keys = SubjectKeys(read_or_make(folder.patient_key))
    subject = Subject("patient", "WARD", MONITORED.upper())
    identity = source_identity("lan:hl7", keys.key(subject))
    return DemoDevice(identity, "generic-hl7-oru", MONITORED)


def bluetooth_devices(folder: DemoFolder, ready_file: Path) -> list[DemoDevice]:
    """Devices of the running Bluetooth process."""
    return bluetooth(_read(ready_file), folder.bind_key)


def absent_bluetooth_devices(folder: DemoFolder) -> list[DemoDevice]:
    """The Bluetooth devices that would be there with dbus-daemon."""
    scenario = read_scenario(WARD)
    with Ledger(None) as ledger:
        devices = build(scenario, ledger)
    shown = [
        {"address": device.address, "kind": spec.kind, "patient": spec.patient}
        for spec, device in zip(scenario.device, devices, strict=True)
    ]
    shown += [
        {"address": each.address, "kind": each.kind, "patient": each.patient} for each in SPECS
    ]
    return bluetooth({"devices": shown}, folder.bind_key)


def glucose_devices(folder: DemoFolder, cache: Path) -> list[DemoDevice]:
    """A person's recorded glucose as a replayed device; its wheel is kept in ``cache``."""
    capture = folder.devices / "glucose.jsonl"
    if not capture.exists():
        trace = iglu_traces(cache)[0]
        write_capture(capture_lines(trace, GLUCOSE), capture)
    return [DemoDevice(GLUCOSE, "generic-replay", _GLUCOSE_OWNER, file=capture, speed=0)]


def collector(folder: DemoFolder) -> Child:
    """The collector."""
    command = _module("wardlight_cloud", "collect", "--config", folder.cloud_toml)
    return Child(name="collector", command=command)


def api(folder: DemoFolder, port: int) -> Child:
    """API and dashboard; ready when the database answers through it."""

    async def is_ready() -> bool:
        return _get(port, "/readyz") is not None

    command = _module("wardlight_cloud", "serve", "--config", folder.cloud_toml)
    return Child(name="api", command=command, ready=is_ready)


def gateway(folder: DemoFolder, environment: Mapping[str, str]) -> Child:
    """The gateway; ready when it is connected to the broker."""
    port_file = folder.gateway / "data" / "status.port"

    async def before_start() -> None:
        port_file.unlink(missing_ok=True)

    async def is_ready() -> bool:
        if not port_file.exists():
            return False
        status = _get(int(port_file.read_text(encoding="ascii")), "/status.json")
        return status is not None and bool(status["uplink"]["connected"])

    command = _module("wardlight_edge", "run", "--config", folder.edge_toml)
    return Child(
        name="gateway",
        command=command,
        env=dict(environment),
        before_start=before_start,
        ready=is_ready,
    )


def query(folder: DemoFolder, port: int) -> Child:
    """The cloud's query/retrieve; ready when its port is open."""

    async def is_ready() -> bool:
        return await asyncio.to_thread(_is_open, port)

    command = _module("wardlight_cloud", "dicom", "--config", folder.cloud_toml)
    return Child(name="query", command=command, ready=is_ready)


def imaging(folder: DemoFolder, port: int) -> Child:
    """The gateway's DICOM services; ready when their port is open."""

    async def is_ready() -> bool:
        return await asyncio.to_thread(_is_open, port)

    command = _module("wardlight_edge", "dicom", "--config", folder.edge_toml)
    return Child(name="imaging", command=command, ready=is_ready)


def modality(folder: DemoFolder, port: int) -> Announcing:
    """The imaging department, which sends its studies to the gateway at every start."""
    command = _module(
        "wardlight_lab.modality", "--port", str(port), "--state-dir", folder.devices,
        "--ledger", folder.devices / "modality.jsonl",
    )  # fmt: skip
    return _announcing(folder, "modality", command)


def _is_open(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=_HTTP_TIMEOUT_S):
            return True
    except OSError:
        return False


def _read(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return content


def _get(port: int, path: str) -> Any:
    """JSON of a local page; None unless it answers 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_HTTP_TIMEOUT_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        return json.loads(body) if answer.status == 200 else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
