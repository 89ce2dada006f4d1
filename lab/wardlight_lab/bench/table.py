"""``wardlight bench``: runs measurements, prints each row when it is known, keeps all as JSON.

Exit codes  0 every measurement ran, whatever it found; 1 one could not be made; 2 no such name
"""

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from wardlight_lab.bench import (
    append,
    decode,
    dicomweb,
    end_to_end,
    export,
    fhir_page,
    fhir_peers,
    fhir_size,
    link,
    live_feed,
    machine,
    memory,
    outage,
    store,
    wire,
)
from wardlight_lab.bench.figures import HEADINGS, Row, row_text
from wardlight_lab.bench.setting import CHECKOUT, Setting, check_disk
from wardlight_shared.errors import WardlightError

Measure = Callable[[Setting], Iterable[Row]]

MEASUREMENTS: Final[Mapping[str, Measure]] = {
    "append": append.measure,
    "ingest": end_to_end.measure,
    "outage": outage.measure,
    "fhir": fhir_page.measure,
    "fhir-peers": fhir_peers.measure,
    "fhir-size": fhir_size.measure,
    "export": export.measure,
    "live": live_feed.measure,
    "link": link.measure,
    "store": store.measure,
    "dicomweb": dicomweb.measure,
    "wire": wire.measure,
    "decode": decode.measure,
    "memory": memory.measure,
}


def run(names: Sequence[str], *, short: bool, json_file: Path | None) -> int:
    """Make the measurements of these names, or all; returns the exit code."""
    unknown = [name for name in names if name not in MEASUREMENTS]
    if unknown:
        sys.stderr.write(
            f"wardlight: no measurement {unknown[0]!r}; there are {', '.join(MEASUREMENTS)}\n"
        )
        return 2
    parent = CHECKOUT / ".cache"
    parent.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=parent))
    try:
        check_disk(folder)
        return _Run(Setting(folder, is_short=short), json_file).all(names or list(MEASUREMENTS))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Run:
    """The table while it grows."""

    def __init__(self, setting: Setting, json_file: Path | None) -> None:
        self._setting = setting
        self._json_file = json_file
        self._report: dict[str, Any] = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "short": setting.is_short,
            "machine": machine.facts(setting.folder),
            "rows": [],
            "failed": {},
            "measurements": {},
        }

    def all(self, names: Sequence[str]) -> int:
        """Make every measurement; 1 when one of them could not be made."""
        _print(machine.text(self._report["machine"]))
        if self._setting.is_short:
            _print("Short run: it proves that the measurements run; its figures mean nothing.")
        _print("\n" + HEADINGS)
        for name in names:
            self._one(name)
            self._write()
        return 1 if self._report["failed"] else 0

    def _one(self, name: str) -> None:
        setting = self._setting.within(name)
        started, load = time.monotonic(), machine.load()
        setting.say(f"{name} (load {load:.2f})")
        try:
            for row in MEASUREMENTS[name](setting):
                _print(row_text(row))
                self._report["rows"].append(row.as_json())
        except (WardlightError, OSError) as error:
            _print(f"{name}: not measured: {error}")
            self._report["failed"][name] = str(error)
        seconds = round(time.monotonic() - started, 1)
        self._report["measurements"][name] = {"seconds": seconds, "load_before": load}
        shutil.rmtree(setting.folder, ignore_errors=True)

    def _write(self) -> None:
        if self._json_file is not None:
            text = json.dumps(self._report, indent=2) + "\n"
            self._json_file.write_text(text, encoding="utf-8")


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
