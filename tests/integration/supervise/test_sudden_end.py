"""However a supervisor ends, no process of it stays, and the next one can begin."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.waiting import wait_until_sync
from wardlight_cloud.store.embedded.processes import is_running
from wardlight_lab.supervise import Child, Supervisor

# A polite child, a deaf one, and one with a worker in its group; all say who they are.
PROGRAM = """
import asyncio, json, sys
from pathlib import Path
from wardlight_lab.supervise import Child, StopRequested, Supervisor, write_ready_file

def shell(script):
    return ["sh", "-c", script]

async def main(folder):
    async with Supervisor(folder, warden_grace_s=0.5) as supervisor:
        await supervisor.start(Child(name="polite", command=["sleep", "600"]))
        deaf = shell("trap '' TERM; echo $$; while :; do sleep 0.05; done")
        await supervisor.start(Child(name="deaf", command=deaf, stop_within_s=0.5))
        master = shell("sleep 600 & echo $!; wait")
        await supervisor.start(Child(name="master", command=master))
        logs = [supervisor.log_file(name) for name in ("deaf", "master")]
        while not all(log.read_text().strip() for log in logs):
            await asyncio.sleep(0.01)
        worker = int(logs[1].read_text())
        pids = {**supervisor.pids(), "worker": worker, "warden": supervisor.warden_pid}
        write_ready_file(folder / "ready.json", pids)
        await supervisor.wait_for_stop()

asyncio.run(main(Path(sys.argv[1])))
"""


@contextmanager
def supervisor_process(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, int]]]:
    """A supervisor as a process of its own, and the processes below it."""
    ready = folder / "ready.json"
    with subprocess.Popen([sys.executable, "-c", PROGRAM, str(folder)]) as process:
        try:
            wait_until_sync(lambda: ready.exists() or process.poll() is not None)
            yield process, json.loads(ready.read_text())
        finally:
            process.kill()


def assert_all_end(pids: dict[str, int]) -> None:
    for name, pid in pids.items():
        wait_until_sync(lambda pid=pid: not is_running(pid), what=f"{name} ends")  # type: ignore[misc] # binds the loop's value


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_everything_and_the_exit_is_clean(
    tmp_path: Path, number: signal.Signals
) -> None:
    with supervisor_process(tmp_path) as (process, pids):
        process.send_signal(number)
        assert process.wait(60) == 0
        assert not [name for name, pid in pids.items() if is_running(pid)]


def test_kill_9_of_the_supervisor_leaves_no_process(tmp_path: Path) -> None:
    with supervisor_process(tmp_path) as (process, pids):
        process.kill()
        process.wait()
        assert_all_end(pids)


async def test_the_next_supervisor_waits_for_the_end_of_the_last_ones_children(
    tmp_path: Path,
) -> None:
    with supervisor_process(tmp_path) as (process, pids):
        process.kill()
        process.wait()
        async with Supervisor(tmp_path, lock_within_s=60) as supervisor:
            assert not [name for name, pid in pids.items() if is_running(pid)]
            await supervisor.start(Child(name="next", command=["sleep", "600"]))


def test_a_killed_warden_leaves_the_kernels_signal(tmp_path: Path) -> None:
    """Without the warden the children still get their signal; only the deaf one may stay."""
    with supervisor_process(tmp_path) as (process, pids):
        subprocess.run(["kill", "-9", str(pids["warden"])], check=True)
        process.kill()
        process.wait()
        wait_until_sync(lambda: not is_running(pids["polite"]))
        wait_until_sync(lambda: not is_running(pids["master"]))
        for name in ("deaf", "worker"):
            subprocess.run(["kill", "-9", str(pids[name])], check=False, stderr=subprocess.DEVNULL)
        assert_all_end(pids)
