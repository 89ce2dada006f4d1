"""Messages to the service manager (sd_notify(3)) over a real datagram socket."""

import socket
from pathlib import Path

import pytest

from wardlight_edge.sd_notify import SystemdNotifier


@pytest.mark.parametrize("abstract", [False, True])
def test_messages_arrive(tmp_path: Path, abstract: bool) -> None:
    name = f"@wardlight-test-{tmp_path.name}" if abstract else str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name[1:] if abstract else name)
        manager.settimeout(10)
        notifier = SystemdNotifier({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "10000000"})
        assert notifier.watchdog_interval_s == 5.0
        notifier.ready("running")
        assert manager.recv(100) == b"READY=1\nSTATUS=running"
        notifier.alive("ok")
        assert manager.recv(100) == b"WATCHDOG=1\nSTATUS=ok"
        notifier.stopping()
        assert manager.recv(100) == b"STOPPING=1"


def test_without_a_manager_nothing_happens(tmp_path: Path) -> None:
    notifier = SystemdNotifier({})
    assert notifier.watchdog_interval_s is None
    notifier.ready("running")
    SystemdNotifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).alive("ok")
