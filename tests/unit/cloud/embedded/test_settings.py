"""The settings of an embedded server."""

from pathlib import Path

import pytest

from wardlight_cloud.store.embedded.settings import (
    configuration_text,
    server_arguments,
    tuned_settings,
)

GIB = 1024**3


@pytest.mark.parametrize(
    ("memory", "buffers"),
    [(GIB // 4, "64MB"), (GIB, "128MB"), (2 * GIB, "256MB"), (64 * GIB, "512MB")],
)
def test_shared_buffers_are_modest(memory: int, buffers: str) -> None:
    assert tuned_settings(memory, durable=True)["shared_buffers"] == buffers


def test_values_never_reach_the_log() -> None:
    """A statement's text and the DETAIL of a broken key hold patient data."""
    settings = tuned_settings(GIB, durable=True)
    assert settings["log_min_error_statement"] == "panic"
    assert settings["log_error_verbosity"] == "terse"
    assert settings["log_statement"] == "none"


def test_configuration_text_quotes_values() -> None:
    assert "\nname = 'it''s'\n" in configuration_text({"name": "it's"})


def arguments(*, tcp: bool = False, durable: bool = True) -> list[str]:
    return server_arguments(
        cluster=Path("/d/pg data"),
        socket_folder=Path("/tmp/a, b"),
        port=5432,
        tcp=tcp,
        durable=durable,
    )


def test_durability_is_on_the_command_line() -> None:
    """There it beats every file that somebody may have edited."""
    for name in ("fsync", "full_page_writes", "synchronous_commit"):
        assert f"{name}=on" in arguments()


def test_without_durability_a_commit_still_survives_a_kill() -> None:
    """It saves the waiting for the disk, not the writing."""
    assert "fsync=off" in arguments(durable=False)
    assert "synchronous_commit=on" in arguments(durable=False)


def test_tcp_is_off_unless_asked_for() -> None:
    assert "listen_addresses=" in arguments()
    assert "listen_addresses=127.0.0.1" in arguments(tcp=True)


def test_a_socket_folder_with_a_comma_stays_one_folder() -> None:
    assert 'unix_socket_directories="/tmp/a, b"' in arguments()
