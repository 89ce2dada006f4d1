"""Serial devices as a process: `python -m wardlight_lab.serialport --folder F --device masimo`.

Out     one line of JSON when the ports are there, on standard output and in --ready-file:
        {"pid": ..., "folder": ..., "ports": [{"name", "path", "protocol", "profile", "patient"}]}
Ends    on SIGTERM or SIGINT with status 0; with status 2 when the scenario is not right
"""

import argparse
import asyncio
import os
import sys
from pathlib import Path
from shlex import quote
from typing import Final

from wardlight_lab.devices.child_process import announce, until_told_to_stop
from wardlight_lab.devices.ledger import Ledger
from wardlight_lab.devices.scenario import ScenarioError
from wardlight_lab.serialport.lines import BY_SHORT, LINES
from wardlight_lab.serialport.scenario import (
    WARD,
    PlayingPort,
    plugged_in,
    read_scenario,
    scenario_of,
)

_USE: Final = """
With a gateway (its settings in edge.toml): start this, leave it running, and in another terminal

  wardlight-edge devices add serial:bed-1 --profile PROFILE --port PATH --config edge.toml
  wardlight-edge status --config edge.toml

PROFILE and PATH are printed when the ports are there. The gateway need not run yet; what is played
while nobody has the port open is lost, as on a real line. Ctrl-C pulls the adapters out.

devices and the profile that reads each:
"""


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
    scenario = (
        scenario_of(options.device, options.patient)
        if options.device
        else read_scenario(options.scenario)
    )
    with Ledger(options.ledger) as ledger, plugged_in(scenario, options.folder, ledger) as ports:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(each.player.play(), name=f"player of {each.spec.name}")
                for each in ports
            ]
            announce(_ready(options.folder, ports), options.ready_file)
            if options.device:
                print(_enrolment(ports), file=sys.stderr, flush=True)
            await until_told_to_stop()
            for task in tasks:
                task.cancel()


def _ready(folder: Path, ports: list[PlayingPort]) -> dict[str, object]:
    shown = [
        {
            "name": each.spec.name,
            "path": str(each.port.path),
            "protocol": each.spec.protocol.value,
            "profile": LINES[each.spec.protocol].profile,
            "patient": each.spec.patient,
        }
        for each in ports
    ]
    return {"pid": os.getpid(), "folder": str(folder), "ports": shown}


def _enrolment(ports: list[PlayingPort]) -> str:
    """For a person: how to let a gateway read them."""
    return "\n".join(
        f"wardlight-edge devices add serial:{line.short} --profile {line.profile} "
        f"--port {quote(str(each.port.path.absolute()))} --config edge.toml"
        for each in ports
        for line in (LINES[each.spec.protocol],)
    )


def _parser() -> argparse.ArgumentParser:
    table = "".join(f"  {line.short:<11} {line.profile}\n" for line in LINES.values())
    parser = argparse.ArgumentParser(
        prog="python -m wardlight_lab.serialport", description=__doc__, epilog=_USE + table
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--folder", type=Path, required=True, help="where the port names appear")
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--device", action="append", choices=BY_SHORT,
        help="play this device; may be given again (default: the ward of the demo)",
    )  # fmt: skip
    which.add_argument("--scenario", type=Path, default=WARD, help="TOML or JSON file")
    parser.add_argument(
        "--patient", default="ward-2", help="seed of the values of --device (default: ward-2)"
    )
    parser.add_argument("--ledger", type=Path, help="JSONL file of what was sent (appended to)")
    parser.add_argument("--ready-file", type=Path, help="also write the ready line here")
    return parser


if __name__ == "__main__":
    sys.exit(main())
