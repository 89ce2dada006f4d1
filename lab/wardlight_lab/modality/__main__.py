"""The imaging department as a process: `python -m wardlight_lab.modality --port P --state-dir D`.

It sends the demo's studies at every start; what the gateway or the cloud has already costs nothing.

Out     one line of JSON when it has begun: {"pid": ..., "port": ...}
Ends    on SIGTERM or SIGINT with status 0
"""

import argparse
import asyncio
import json
import os
import threading
from datetime import datetime
from pathlib import Path

from wardlight_lab.demo.ward import PEOPLE, Person
from wardlight_lab.devices.child_process import announce, until_told_to_stop
from wardlight_lab.modality.sender import Modality, Taken
from wardlight_lab.modality.studies import WARD_STUDIES, Whose, objects_of


def main() -> int:
    """Run until told to stop."""
    asyncio.run(_run(_parser().parse_args()))
    return 0


async def _run(options: argparse.Namespace) -> None:
    stop = threading.Event()
    day = _first_day(options.state_dir)
    modality = Modality(
        options.host, options.port, options.called_ae, _noting(options.ledger), stop.is_set
    )
    sending = asyncio.create_task(asyncio.to_thread(_send_all, modality, day), name="modality")
    announce({"pid": os.getpid(), "port": options.port}, options.ready_file)
    await until_told_to_stop()
    stop.set()
    await asyncio.wait({sending})


def _noting(ledger: Path | None) -> Taken:
    """Write what was taken into the ledger, one JSON object a line."""

    def note(sop_instance: str, sha256: str) -> None:
        if ledger is not None:
            with ledger.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"sop_instance": sop_instance, "sha256": sha256}) + "\n")

    return note


def _send_all(modality: Modality, day: datetime) -> None:
    for person in PEOPLE:
        for study in WARD_STUDIES.get(person.label, ()):
            objects = list(objects_of(study, whose(person), day))
            if not modality.send(f"{objects[0].Modality}1", objects):
                return


def whose(person: Person) -> Whose:
    """The patient module of one of the demo's patients."""
    return Whose(
        person.label.upper(),
        f"{person.family}^{person.given}",
        f"{person.birth_date:%Y%m%d}",
        person.gender[0].upper(),
    )


def _first_day(folder: Path) -> datetime:
    """When the demo began in this folder: studies must not change from start to start."""
    file = folder / "modality.json"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        now = datetime.now().astimezone().replace(microsecond=0)
        file.write_text(json.dumps({"begun": now.isoformat()}), encoding="utf-8")
    return datetime.fromisoformat(json.loads(file.read_text(encoding="utf-8"))["begun"])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m wardlight_lab.modality", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True, help="DICOM port of the gateway")
    parser.add_argument("--called-ae", default="WARDLIGHT", help="its AE title")
    parser.add_argument("--state-dir", type=Path, required=True, help="remembers the first day")
    parser.add_argument("--ledger", type=Path, help="JSONL file of what was accepted")
    parser.add_argument("--ready-file", type=Path, help="also write the ready line here")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
