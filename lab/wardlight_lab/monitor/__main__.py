"""A monitor as a process: `python -m wardlight_lab.monitor --port P --patient ward-4`.

Out     one line of JSON when it has begun: {"pid": ..., "patient": ..., "port": ...}
Ends    on SIGTERM or SIGINT with status 0
"""

import argparse
import asyncio
import os
from pathlib import Path

from wardlight_lab.devices.child_process import announce, until_told_to_stop
from wardlight_lab.devices.ledger import Ledger
from wardlight_lab.devices.patient import PatientVitals
from wardlight_lab.monitor.sender import MonitorSender


def main() -> int:
    """Run until told to stop."""
    asyncio.run(_run(_parser().parse_args()))
    return 0


async def _run(options: argparse.Namespace) -> None:
    patient = PatientVitals(options.patient)
    with Ledger(options.ledger) as ledger:
        sender = MonitorSender(
            options.host, options.port, patient, options.patient_id or options.patient, ledger
        )
        task = asyncio.create_task(sender.run(options.every), name="monitor")
        ready = {"pid": os.getpid(), "patient": options.patient, "port": options.port}
        announce(ready, options.ready_file)
        await until_told_to_stop()
        task.cancel()
        await asyncio.wait({task})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m wardlight_lab.monitor", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True, help="HL7 port of the gateway")
    parser.add_argument("--patient", required=True, help="label and seed of the values")
    parser.add_argument("--patient-id", help="record number in PID-3; default: the label")
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two messages")
    parser.add_argument("--ledger", type=Path, help="JSONL file of what was accepted")
    parser.add_argument("--ready-file", type=Path, help="also write the ready line here")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
