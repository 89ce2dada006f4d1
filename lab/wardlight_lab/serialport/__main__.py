"""Serial devices as a process: `python -m wardlight_lab.serialport --folder F`.

Out     one line of JSON when the ports are there, on standard output and in --ready-file:
        {"pid": ..., "folder": ..., "ports": [{"name", "path", "protocol", "patient"}]}
Ends    on SIGTERM or SIGINT with status 0; with status 2 when the scenario is not right
"""

import argparse
import asyncio
import os
import sys
from pathlib import Path

from wardlight_lab.devices.child_process import announce, until_told_to_stop
from wardlight_lab.devices.ledger import Ledger
from wardlight_lab.devices.scenario import ScenarioError
from wardlight_lab.serialport.scenario import WARD, PlayingPort, plugged_in, read_scenario


def main() -> int:
    """Run until told to stop."""
    options = _parser().parse_args()
    try:
        asyncio.run(_run(options))
    except ScenarioError as error:
        print(f"wardlight_lab.serialport: {error}", file=sys.stderr)
        return 2
    return 0


async def _run(options: argparse.Namespace) -> None:
    scenario = read_scenario(options.scenario)
    with Ledger(options.ledger) as ledger, plugged_in(scenario, options.folder, ledger) as ports:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(each.player.play(), name=f"player of {each.spec.name}")
                for each in ports
            ]
            announce(_ready(options.folder, ports), options.ready_file)
            await until_told_to_stop()
            for task in tasks:
                task.cancel()


def _ready(folder: Path, ports: list[PlayingPort]) -> dict[str, object]:
    shown = [
        {
            "name": each.spec.name,
            "path": str(each.port.path),
            "protocol": each.spec.protocol.value,
            "patient": each.spec.patient,
        }
        for each in ports
    ]
    return {"pid": os.getpid(), "folder": str(folder), "ports": shown}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m wardlight_lab.serialport", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--folder", type=Path, required=True, help="where the port names appear")
    parser.add_argument("--scenario", type=Path, default=WARD, help="TOML or JSON file")
    parser.add_argument("--ledger", type=Path, help="JSONL file of what was sent (appended to)")
    parser.add_argument("--ready-file", type=Path, help="also write the ready line here")
    return parser


if __name__ == "__main__":
    sys.exit(main())
