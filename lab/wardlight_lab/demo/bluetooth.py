"""The demo's Bluetooth as a process: the ward's devices, and those that only advertise.

Out     the ready line of `python -m wardlight_lab.bluez`, with the advertising devices in it
Ends    on SIGTERM or SIGINT with status 0
"""

import argparse
import asyncio
import os
import sys
from pathlib import Path

from wardlight_lab.demo.advertising import Advertising, advertising
from wardlight_lab.devices.child_process import announce, until_told_to_stop
from wardlight_lab.devices.on_air import on_air
from wardlight_lab.devices.scenario import WARD, read_scenario


def main() -> int:
    """Run until told to stop."""
    asyncio.run(_run(_parser().parse_args()))
    return 0


async def _run(options: argparse.Namespace) -> None:
    folders = {"state_dir": options.state_dir, "bus_dir": options.bus_dir}
    async with on_air(read_scenario(WARD), **folders, ledger=options.ledger) as air:
        advertisers = advertising(_key(options.bind_key_file), air.ledger)
        for each in advertisers:
            air.bluez.add(each.device)
        tasks = [asyncio.create_task(each.run(), name=each.spec.kind) for each in advertisers]
        shown = [*air.shown, *(_shown(each) for each in advertisers)]
        ready = {"pid": os.getpid(), "address": air.bluez.address, "devices": shown}
        announce(ready, options.ready_file)
        await until_told_to_stop()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def _shown(each: Advertising) -> dict[str, str]:
    return {"address": each.spec.address, "kind": each.spec.kind, "patient": each.spec.patient}


def _key(file: Path) -> bytes:
    return bytes.fromhex(file.read_text(encoding="ascii").strip())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m wardlight_lab.demo.bluetooth")
    parser.add_argument("--state-dir", type=Path, required=True, help="where bonds are kept")
    parser.add_argument("--bus-dir", type=Path, required=True, help="short folder for the socket")
    parser.add_argument("--ledger", type=Path, required=True, help="JSONL file of what was sent")
    parser.add_argument("--bind-key-file", type=Path, required=True, help="of the thermometer")
    parser.add_argument("--ready-file", type=Path, help="also write the ready line here")
    return parser


if __name__ == "__main__":
    sys.exit(main())
