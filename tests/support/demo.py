"""The demo as a real process, started and stopped as a person does."""

import json
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from support.plain_http import PLAIN
from support.waiting import wait_until_sync

READY_S = 120


@dataclass(frozen=True)
class RunningDemo:
    """A demo that is ready."""

    process: subprocess.Popen[bytes]
    facts: dict[str, Any]
    data_dir: Path
    ready_file: Path

    def client(self) -> httpx.Client:
        """A FHIR client with the demo's token."""
        headers = {"Authorization": f"Bearer {self.facts['token']}"}
        return httpx.Client(base_url=self.facts["fhir"], headers=headers, timeout=180, verify=PLAIN)

    def output(self) -> str:
        """What the demo and its children wrote."""
        files = [self.data_dir / "demo.out", *sorted(self.data_dir.glob("logs/*.log"))]
        return "\n".join(file.read_text("utf-8", "replace") for file in files if file.exists())


def start_demo(data_dir: Path, *arguments: str) -> RunningDemo:
    """Start `wardlight demo` and wait for its ready file."""
    ready_file = data_dir / "ready.json"
    data_dir.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable, "-m", "wardlight_lab", "demo", "--data-dir", str(data_dir),
        "--ready-file", str(ready_file), "--http-port", "0", *arguments,
    ]  # fmt: skip
    with (data_dir / "demo.out").open("ab") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
    wait_until_sync(lambda: ready_file.exists() or process.poll() is not None, READY_S, "ready")
    assert process.poll() is None, (data_dir / "demo.out").read_text()
    return RunningDemo(process, json.loads(ready_file.read_text()), data_dir, ready_file)


def stop_demo(demo: RunningDemo) -> int:
    """Ctrl-C; returns the exit code."""
    demo.process.send_signal(signal.SIGINT)
    return demo.process.wait(60)


def is_alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
