"""The emulated Bluetooth of a measurement: a process, its devices, and what it says it sent."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from wardlight_lab.bench.site import Site, module
from wardlight_lab.demo.ward import DemoDevice, bluetooth
from wardlight_lab.supervise import Child


class Emulated(NamedTuple):
    """Running emulated Bluetooth.

    devices      as the gateway's settings name them; ``label`` is the patient's
    environment  what the gateway's process needs to find its bus
    ledger       what was sent, one JSON object a line (devices/ledger.py)
    """

    devices: list[DemoDevice]
    environment: Mapping[str, str]
    ledger: Path


class Sent(NamedTuple):
    """One value that a device has sent."""

    identity: str
    at: float
    values: Mapping[str, str]


async def start_bluetooth(site: Site, bus_dir: Path, kinds: Sequence[tuple[str, str]]) -> Emulated:
    """Start it with devices of (kind, patient); ``bus_dir`` has a short name."""
    folder = site.folder.devices
    scenario, ready_file, ledger = (
        folder / name for name in ("bluez.toml", "bluez.ready.json", "bluez.jsonl")
    )
    devices = (f'[[device]]\nkind = "{kind}"\npatient = "{who}"\n' for kind, who in kinds)
    scenario.write_text("".join(devices), encoding="utf-8")
    command = module(
        "wardlight_lab.bluez", "--scenario", scenario, "--bus-dir", bus_dir,
        "--ledger", ledger, "--ready-file", ready_file,
    )  # fmt: skip

    async def is_ready() -> bool:
        return ready_file.exists()

    await site.start(Child(name="bluetooth", command=command, ready=is_ready))
    ready = json.loads(ready_file.read_text(encoding="utf-8"))
    return Emulated(bluetooth(ready), {"DBUS_SYSTEM_BUS_ADDRESS": ready["address"]}, ledger)


def read_ledger(file: Path) -> list[Sent]:
    """All values that reached a client."""
    found = []
    for line in file.read_bytes().split(b"\n")[:-1]:
        entry = json.loads(line)
        if entry.get("delivered"):
            identity = "ble:" + entry["device"].replace(":", "").upper()
            at = datetime.fromisoformat(entry["sent_at"]).timestamp()
            found.append(Sent(identity, at, entry.get("values", {})))
    return found
