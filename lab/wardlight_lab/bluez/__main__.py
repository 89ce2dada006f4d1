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
from pathlib import Path

from wardlight_lab.bluez import DBusDaemonMissingError, EmulationError
from wardlight_lab.devices.child_process import announce, until_told_to_stop
from wardlight_lab.devices.on_air import on_air
from wardlight_lab.devices.scenario import WARD, read_scenario


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
    folders = {"state_dir": options.state_dir, "bus_dir": options.bus_dir}
    async with on_air(scenario, **folders, ledger=options.ledger) as air:
        ready = {"pid": os.getpid(), "address": air.bluez.address, "devices": air.shown}
        announce(ready, options.ready_file)
        await until_told_to_stop()


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
