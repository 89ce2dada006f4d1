"""Emulated Bluetooth as a process: `python -m wardlight_lab.bluez --state-dir D`.

Out     one line of JSON when the devices are there, on standard output and in --ready-file:
        {"pid": ..., "address": "unix:path=...", "devices": [{"address", "kind", "name",
        "patient"}]} The address is the value for DBUS_SYSTEM_BUS_ADDRESS of the gateway.
Ends    on SIGTERM or SIGINT with status 0; with status 2 when the scenario is not right; with
        status 3 when dbus-daemon is not installed
"""

import argparse
import asyncio
import os
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from wardlight_lab.bluez import DBusDaemonMissingError, EmulationError, FakeBluez
from wardlight_lab.devices.child_process import announce, until_told_to_stop
from wardlight_lab.devices.control import PATH, Control
from wardlight_lab.devices.emulated import EmulatedDevice
from wardlight_lab.devices.ledger import Ledger
from wardlight_lab.devices.scenario import WARD, Scenario, build, read_scenario


def main() -> int:
    """Run until told to stop."""
    options = _parser().parse_args()
    try:
        asyncio.run(_run(options))
    except EmulationError as error:
        print(f"wardlight_lab.bluez: {error}", file=sys.stderr)
        return 3 if isinstance(error, DBusDaemonMissingError) else 2
    return 0


async def _run(options: argparse.Namespace) -> None:
    scenario = read_scenario(options.scenario)
    async with AsyncExitStack() as stack:
        ledger = stack.enter_context(Ledger(options.ledger))
        bluez = await stack.enter_async_context(
            FakeBluez(
                scenario.adapters,
                state_dir=options.state_dir,
                bus_dir=options.bus_dir,
                timing=scenario.durations,
            )
        )
        devices = build(scenario, ledger)
        for device in devices:
            bluez.add(device)
        bluez.export(PATH, Control(bluez, devices).interface())
        announce(_ready(bluez.address, scenario, devices), options.ready_file)
        await until_told_to_stop()


def _ready(address: str, scenario: Scenario, devices: list[EmulatedDevice]) -> dict[str, object]:
    shown = [
        {"address": device.address, "kind": spec.kind, "name": device.name, "patient": spec.patient}
        for spec, device in zip(scenario.device, devices, strict=True)
    ]
    return {"pid": os.getpid(), "address": address, "devices": shown}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m wardlight_lab.bluez", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--scenario", type=Path, default=WARD, help="TOML or JSON file")
    parser.add_argument("--state-dir", type=Path, help="where bonds are kept")
    parser.add_argument("--bus-dir", type=Path, help="short folder for the bus socket")
    parser.add_argument("--ledger", type=Path, help="JSONL file of what was sent (appended to)")
    parser.add_argument("--ready-file", type=Path, help="also write the ready line here")
    return parser


if __name__ == "__main__":
    sys.exit(main())
