"""Choosing a port that no reconnecting client can take."""

import socket
from pathlib import Path

import pytest

from wardlight_cloud.store.embedded import ports


def test_the_port_is_free_and_not_ephemeral() -> None:
    low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    port = ports.free_loopback_port()
    assert not low <= port <= high
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", port))


def test_without_room_beside_the_range_any_free_port_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tmp_path / "range"
    whole.write_text("1024\t65535\n")
    monkeypatch.setattr(ports, "_EPHEMERAL_RANGE", whole)
    assert 1024 <= ports.free_loopback_port() <= 65535
