"""Children are started, found ready, brought back, and stopped in order; with real processes."""

import asyncio
import os
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest

from support.waiting import wait_until
from wardlight_cloud.store.embedded.processes import is_running
from wardlight_lab.supervise import (
    Child,
    ChildNotReady,
    ChildStatus,
    DataFolderInUse,
    State,
    StopRequested,
    Supervisor,
    backoff,
    keeper,
)

SLEEP = ["sleep", "600"]


def shell(script: str) -> list[str]:
    return ["sh", "-c", script]


def pid_of(supervisor: Supervisor, name: str) -> int:
    pid = supervisor.pids()[name]
    assert pid is not None
    return pid


async def test_a_child_gets_its_environment_and_a_log(tmp_path: Path) -> None:
    async with Supervisor(tmp_path) as supervisor:
        command = shell('echo "said $WORD"; echo complained >&2; exec sleep 600')
        await supervisor.start(Child(name="one", command=command, env={"WORD": "yes"}))
        log = supervisor.log_file("one")
        await wait_until(lambda: log.read_text() == "said yes\ncomplained\n")
        assert log.stat().st_mode & 0o777 == 0o600
        assert supervisor.status()["one"].state is State.READY


async def test_start_returns_when_the_child_is_ready(tmp_path: Path) -> None:
    sign = tmp_path / "sign"

    async def ready() -> bool:
        return sign.exists()

    async with Supervisor(tmp_path / "data") as supervisor:
        command = shell(f"sleep 0.2; touch {sign}; exec sleep 600")
        await supervisor.start(Child(name="slow", command=command, ready=ready))
        assert sign.exists()


async def test_a_killed_child_comes_back_with_another_pid(tmp_path: Path) -> None:
    seen: list[int | None] = []

    def note(status: Mapping[str, ChildStatus]) -> None:
        pid = status["one"].pid if "one" in status else None
        if not seen or seen[-1] != pid:
            seen.append(pid)

    async with Supervisor(tmp_path, on_change=note) as supervisor:
        await supervisor.start(Child(name="one", command=SLEEP))
        first = supervisor.kill("one")
        await wait_until(lambda: supervisor.status()["one"].restarts == 1)
        await wait_until(lambda: supervisor.status()["one"].state is State.READY)
        second = pid_of(supervisor, "one")
        assert supervisor.status()["one"].last_exit == -signal.SIGKILL
    assert second != first
    assert seen == [first, None, second, None]


async def test_what_a_dead_child_left_of_its_group_is_killed(tmp_path: Path) -> None:
    """A worker of the killed process would hold its port, and keep the next one out."""
    async with Supervisor(tmp_path) as supervisor:
        command = shell("sleep 600 & echo $!; wait")
        await supervisor.start(Child(name="master", command=command))
        log = supervisor.log_file("master")
        await wait_until(lambda: log.read_text().strip() != "")
        worker = int(log.read_text().split()[0])
        supervisor.kill("master")
        await wait_until(lambda: not is_running(worker))
        await wait_until(lambda: len(log.read_text().split()) == 2)


async def test_a_child_that_never_serves_is_reported_with_its_last_words(tmp_path: Path) -> None:
    async def never() -> bool:
        return False

    async with Supervisor(tmp_path) as supervisor:
        with pytest.raises(ChildNotReady, match="bad does not start: no such setting"):
            command = shell("echo no such setting; exit 3")
            await supervisor.start(Child(name="bad", command=command, ready=never))
        assert supervisor.status() == {}
        await supervisor.start(Child(name="good", command=SLEEP))


async def test_a_program_that_does_not_exist_is_reported(tmp_path: Path) -> None:
    async def never() -> bool:
        return False

    async with Supervisor(tmp_path) as supervisor:
        with pytest.raises(ChildNotReady, match="cannot run wardlight-nothing: No such file"):
            await supervisor.start(Child(name="x", command=["wardlight-nothing"], ready=never))


async def test_a_child_that_is_late_is_killed(tmp_path: Path) -> None:
    async def never() -> bool:
        return False

    async with Supervisor(tmp_path) as supervisor:
        with pytest.raises(ChildNotReady):
            await supervisor.start(
                Child(name="late", command=SLEEP, ready=never, ready_within_s=0.1)
            )


async def test_a_step_before_the_start_that_fails_counts_as_a_failed_start(tmp_path: Path) -> None:
    attempts: list[int] = []

    async def fail_twice() -> None:
        attempts.append(len(attempts))
        if len(attempts) < 3:
            raise OSError("not yet")

    async with Supervisor(tmp_path) as supervisor:
        await supervisor.start(Child(name="one", command=SLEEP, before_start=fail_twice))
        assert len(attempts) == 3


async def test_a_crash_loop_is_told_and_slowed_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backoff, "_PAUSES_S", (0.0, 0.01, 0.01))
    monkeypatch.setattr(backoff, "_LOOPING_PAUSES_S", (600.0,))
    states: list[State] = []
    flag = tmp_path / "flag"

    async def ready() -> bool:
        return True

    async with Supervisor(
        tmp_path / "data", on_change=lambda s: states.extend(c.state for c in s.values())
    ) as supervisor:
        command = shell(f"test -e {flag} && exit 7; touch {flag}; exec sleep 600")
        await supervisor.start(Child(name="one", command=command, ready=ready))
        await wait_until(flag.exists)
        supervisor.kill("one")
        await wait_until(lambda: supervisor.status()["one"].state is State.CRASH_LOOPING)
        assert supervisor.status()["one"].last_exit == 7
        assert supervisor.status()["one"].pid is None
        # Leaving does not wait out the pause: ten minutes would end this test.


async def test_a_child_that_hangs_is_killed_and_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "_HEALTH_EVERY_S", 0.02)
    answering = {"yes": True}

    async def ready() -> bool:
        return answering["yes"]

    async with Supervisor(tmp_path) as supervisor:
        await supervisor.start(Child(name="one", command=SLEEP, ready=ready, hung_after_s=0.2))
        first = pid_of(supervisor, "one")
        answering["yes"] = False
        await wait_until(lambda: not is_running(first))
        answering["yes"] = True
        await wait_until(lambda: supervisor.pids()["one"] not in {None, first})


async def test_children_stop_in_reverse_order(tmp_path: Path) -> None:
    order, ready_names = tmp_path / "order", tmp_path / "ready"

    def child(name: str) -> Child:
        script = f"trap 'echo {name} >> {order}; exit 0' TERM; echo {name} >> {ready_names};"

        async def ready() -> bool:
            return ready_names.exists() and name in ready_names.read_text()

        return Child(
            name=name, command=shell(f"{script} while :; do sleep 0.01; done"), ready=ready
        )

    async with Supervisor(tmp_path / "data") as supervisor:
        for name in ("first", "second", "third"):
            await supervisor.start(child(name))
    assert order.read_text().split() == ["third", "second", "first"]


async def test_a_child_that_ignores_the_signal_is_killed_at_the_deadline(tmp_path: Path) -> None:
    async with Supervisor(tmp_path) as supervisor:
        command = shell("trap '' TERM; echo deaf; while :; do sleep 0.05; done")
        await supervisor.start(Child(name="deaf", command=command, stop_within_s=0.2))
        log = supervisor.log_file("deaf")
        await wait_until(lambda: log.read_text() == "deaf\n")
        pid = pid_of(supervisor, "deaf")
    assert not is_running(pid)


async def test_the_second_request_ends_patience(tmp_path: Path) -> None:
    async with asyncio.timeout(180):
        async with Supervisor(tmp_path) as supervisor:
            command = shell("trap '' TERM; echo deaf; while :; do sleep 0.05; done")
            await supervisor.start(Child(name="deaf", command=command, stop_within_s=600))
            log = supervisor.log_file("deaf")
            await wait_until(lambda: log.read_text() == "deaf\n")
            supervisor.request_stop()
            assert await supervisor.wait_for_stop()
            supervisor.request_stop()


async def test_a_stop_during_a_start_is_heard(tmp_path: Path) -> None:
    async def never() -> bool:
        return False

    async with Supervisor(tmp_path) as supervisor:
        asyncio.get_running_loop().call_later(0.1, os.kill, os.getpid(), signal.SIGTERM)
        with pytest.raises(StopRequested):
            await supervisor.start(Child(name="slow", command=SLEEP, ready=never))


async def test_waiting_ends_when_the_time_is_over(tmp_path: Path) -> None:
    async with Supervisor(tmp_path) as supervisor:
        await supervisor.start(Child(name="one", command=SLEEP))
        assert not await supervisor.wait_for_stop(for_s=0.05)


async def test_a_listener_that_fails_does_not_end_the_supervision(tmp_path: Path) -> None:
    def fail(_: Mapping[str, ChildStatus]) -> None:
        raise OSError(28, "No space left on device")

    async with Supervisor(tmp_path, on_change=fail) as supervisor:
        await supervisor.start(Child(name="one", command=SLEEP))
        supervisor.kill("one")
        await wait_until(lambda: supervisor.status()["one"].restarts == 1)
        await wait_until(lambda: supervisor.pids()["one"] is not None)


async def test_a_data_folder_has_one_supervisor(tmp_path: Path) -> None:
    async with Supervisor(tmp_path):
        with pytest.raises(DataFolderInUse, match=f"in use by process {os.getpid()}"):
            async with Supervisor(tmp_path, lock_within_s=0.1):
                pass


async def test_a_name_is_given_once(tmp_path: Path) -> None:
    async with Supervisor(tmp_path) as supervisor:
        await supervisor.start(Child(name="one", command=SLEEP))
        with pytest.raises(ValueError, match="'one' cannot start"):
            await supervisor.start(Child(name="one", command=SLEEP))
        await supervisor.stop("one")
        await supervisor.start(Child(name="one", command=SLEEP))


async def test_a_warden_that_was_killed_is_replaced(tmp_path: Path) -> None:
    async with Supervisor(tmp_path) as supervisor:
        await supervisor.start(Child(name="one", command=SLEEP))
        warden = supervisor.warden_pid
        assert warden is not None
        os.kill(warden, signal.SIGKILL)
        await wait_until(lambda: not is_running(warden))
        await supervisor.start(Child(name="two", command=SLEEP))
        assert supervisor.warden_pid not in {None, warden}
