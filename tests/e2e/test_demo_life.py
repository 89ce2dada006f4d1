"""The demo's life: it ends whole, goes on with its data, needs neither Bluetooth nor a port."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from support.demo import RunningDemo, is_alive, start_demo, stop_demo
from support.waiting import wait_until_sync

pytestmark = pytest.mark.timeout(400)  # each start may take its READY_S on a busy machine


def observations(demo: RunningDemo) -> list[str]:
    with demo.client() as client:
        bundle = client.get("/Observation", params={"_count": "500", "_sort": "date"}).json()
    return [entry["resource"]["id"] for entry in bundle.get("entry", [])]


def second_start(demo: RunningDemo) -> subprocess.CompletedProcess[str]:
    """A second demo in the folder of one that runs."""
    command = [
        sys.executable, "-m", "wardlight_lab", "demo", "--data-dir", str(demo.data_dir),
        "--ready-file", str(demo.ready_file), "--http-port", "0", "--for", "1",
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


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
    assert httpx.get(f"{demo.facts['http']}/healthz").status_code == 200
    with demo.client() as client:
        assert client.get("/metadata").status_code == 200


def says_why_bluetooth_is_absent(demo: RunningDemo) -> None:
    port = (demo.data_dir / "gateway/data/status.port").read_text().strip()
    status = httpx.get(f"http://127.0.0.1:{port}/status.json").json()
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
        10,
        "the collector is started again and the ready file says so",
    )


def test_a_demo_copes_with_what_is_missing_ends_without_remains_and_goes_on_with_its_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One demo is asked all of it: a start costs as much as minutes of a demo that runs."""
    serial_only(monkeypatch, tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        first = start_demo(tmp_path / "my data", "--http-port", str(port))
        answers_on_another_port(first, port)
    says_why_bluetooth_is_absent(first)
    keeps_its_folder_for_itself(first)
    # Less than a block of 60 s: a stream that begins is shown at once.
    wait_until_sync(lambda: observations(first), 45, "readings of the serial device")
    before = observations(first)
    starts_a_dead_child_again(first)
    pids = {*first.facts["pids"].values(), collector_pid(first)} - {None}
    assert len(pids) == 6, "five, and the collector twice"
    assert stop_demo(first) == 0
    wait_until_sync(lambda: not any(map(is_alive, pids)), 30, "no process is left")
    assert not first.ready_file.exists()

    second = start_demo(tmp_path / "my data", "--for", "15")
    same = ("token", "user", "password", "gateway")
    assert [second.facts[name] for name in same] == [first.facts[name] for name in same]
    assert set(before) <= set(observations(second))
    assert second.process.wait(60) == 0, "it ends by itself"
