"""The demo's life: it ends whole, goes on with its data, needs neither Bluetooth nor a port."""

import json
import os
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from support.demo import RunningDemo, is_alive, start_demo, stop_demo
from support.plain_http import PLAIN
from support.waiting import wait_until_sync

pytestmark = pytest.mark.timeout(400)  # each start may take its READY_S on a busy machine


def observations(demo: RunningDemo, **query: str) -> list[str]:
    """Ids of the newest ones, newest first."""
    with demo.client() as client:
        newest = {"_count": "20", "_sort": "-date", **query}
        bundle = client.get("/Observation", params=newest).json()
    return [entry["resource"]["id"] for entry in bundle.get("entry", [])]


def has_kept(demo: RunningDemo, observations: list[str]) -> bool:
    with demo.client() as client:
        answers = [client.get(f"/Observation/{each}").status_code for each in observations]
    return set(answers) == {200}


def second_start(demo: RunningDemo) -> subprocess.CompletedProcess[str]:
    """A second demo in the folder of one that runs."""
    command = [
        sys.executable, "-m", "wardlight_lab", "demo", "--data-dir", str(demo.data_dir),
        "--ready-file", str(demo.ready_file), "--http-port", "0", "--for", "1",
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=180)


def serial_only(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """A PATH on which dbus-daemon is not found."""
    programs = folder / "bin"
    programs.mkdir()
    for directory in os.environ["PATH"].split(os.pathsep):
        for program in Path(directory).glob("*") if Path(directory).is_dir() else ():
            link = programs / program.name
            if program.name != "dbus-daemon" and not link.exists():
                link.symlink_to(program)
    monkeypatch.setenv("PATH", str(programs))


def collector_pid(demo: RunningDemo) -> int | None:
    """The collector that the ready file names now."""
    pid: int | None = json.loads(demo.ready_file.read_text())["pids"]["collector"]
    return pid


def answers_on_another_port(demo: RunningDemo, taken: int) -> None:
    assert not demo.facts["http"].endswith(f":{taken}")
    assert httpx.get(f"{demo.facts['http']}/healthz", verify=PLAIN).status_code == 200
    with demo.client() as client:
        assert client.get("/metadata").status_code == 200


def says_why_bluetooth_is_absent(demo: RunningDemo) -> None:
    port = (demo.data_dir / "gateway/data/status.port").read_text().strip()
    status = httpx.get(f"http://127.0.0.1:{port}/status.json", verify=PLAIN).json()
    absent = [d for d in status["devices"] if d["identity"].startswith("ble:")]
    assert absent
    assert all("D-Bus" in (d["reason"] or "") for d in absent)


def keeps_its_folder_for_itself(demo: RunningDemo) -> None:
    again = second_start(demo)
    assert again.returncode == 1
    assert "is in use by process" in again.stderr
    assert "Traceback" not in again.stderr
    assert demo.ready_file.exists(), "it tells of the demo that runs"


def starts_a_dead_child_again(demo: RunningDemo) -> None:
    killed = demo.facts["pids"]["collector"]
    os.kill(killed, 9)
    wait_until_sync(
        lambda: collector_pid(demo) not in (None, killed),
        60,
        "the collector is started again and the ready file says so",
    )


def test_a_demo_ends_without_remains_and_goes_on_with_its_data_whatever_is_missing_then(
    demo: RunningDemo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last that looks at the demo of all: a start costs as much as minutes of one that runs."""
    keeps_its_folder_for_itself(demo)
    starts_a_dead_child_again(demo)
    before = observations(demo)
    assert before
    pids = {*demo.facts["pids"].values(), collector_pid(demo)} - {None}
    assert len(pids) == 1 + len(demo.facts["pids"]), "each, and the collector twice"
    assert stop_demo(demo) == 0
    wait_until_sync(lambda: not any(map(is_alive, pids)), 30, "no process is left")
    assert not demo.ready_file.exists()

    serial_only(monkeypatch, tmp_path)
    begun = datetime.now(UTC)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        second = start_demo(demo.data_dir, "--http-port", str(port), "--for", "600")
        answers_on_another_port(second, port)
    says_why_bluetooth_is_absent(second)
    same = ("token", "user", "password", "gateway")
    assert [second.facts[name] for name in same] == [demo.facts[name] for name in same]
    assert has_kept(second, before)
    new = {"date": f"gt{begun.isoformat()}"}
    wait_until_sync(lambda: observations(second, **new), 60, "readings of the serial device")
    assert stop_demo(second) == 0
