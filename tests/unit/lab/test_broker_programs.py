"""Programs of brokers: found, and new enough."""

from pathlib import Path

import pytest

from wardlight_lab import broker_programs
from wardlight_lab.broker_programs import BrokerError, is_safe

FIXES = ((2, 12, 12), (2, 14, 3))


@pytest.mark.parametrize(
    ("version", "safe"),
    [
        ((2, 9, 10), False),
        ((2, 12, 11), False),
        ((2, 12, 12), True),
        ((2, 13, 9), False),
        ((2, 14, 2), False),
        ((2, 14, 3), True),
        ((2, 15, 1), True),
        ((3, 0, 0), True),
    ],
)
def test_a_version_is_safe_from_the_fix_of_its_release_on(
    version: tuple[int, ...], safe: bool
) -> None:
    assert is_safe(version, FIXES) is safe


def program(path: Path, says: str) -> Path:
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


def test_an_old_nats_server_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = program(tmp_path / "nats-server", "nats-server: v2.9.10")
    monkeypatch.setenv("WARDLIGHT_NATS_SERVER", str(old))
    with pytest.raises(BrokerError, match=r"version 2\.9\.10, which is not safe"):
        broker_programs.nats_server()


def test_a_program_that_is_something_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = program(tmp_path / "mosquitto", "hello")
    monkeypatch.setenv("WARDLIGHT_MOSQUITTO", str(other))
    with pytest.raises(BrokerError, match="does not tell its version"):
        broker_programs.mosquitto()
    monkeypatch.setenv("WARDLIGHT_MOSQUITTO", str(tmp_path / "none"))
    with pytest.raises(BrokerError, match="does not run"):
        broker_programs.mosquitto()


def test_a_missing_program_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WARDLIGHT_MOSQUITTO", raising=False)
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(BrokerError, match="WARDLIGHT_MOSQUITTO"):
        broker_programs.mosquitto()


def test_the_wheels_nats_server_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WARDLIGHT_NATS_SERVER", raising=False)
    assert broker_programs.nats_server().is_file()
