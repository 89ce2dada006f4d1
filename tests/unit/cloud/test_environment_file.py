"""The file of secrets is read as systemd reads it, and never quoted."""

import os
from pathlib import Path

import pytest

from wardlight_cloud.environment_file import take_environment
from wardlight_shared.errors import ConfigError

DSN = "WARDLIGHT_DATABASE__DSN"
TEXT = f"""# secrets
; too

{DSN}="postgresql://wardlight:p#a=s@127.0.0.1/wardlight"
WARDLIGHT_HTTP__PORT= 8081
  WARDLIGHT_LOG__LEVEL='error'
WARDLIGHT_DATA_DIR=/from/the/file
PATH=/nowhere
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(os, "environ", {"PATH": "/bin", "WARDLIGHT_DATA_DIR": "/was/there"})
    return tmp_path / "cloud.env"


def test_what_is_ours_and_not_there_yet_is_taken(file: Path) -> None:
    file.write_text(TEXT)
    take_environment(file)
    os.environ.pop("PYTEST_CURRENT_TEST", None)
    assert os.environ == {
        "PATH": "/bin",
        "WARDLIGHT_DATA_DIR": "/was/there",
        DSN: "postgresql://wardlight:p#a=s@127.0.0.1/wardlight",
        "WARDLIGHT_HTTP__PORT": "8081",
        "WARDLIGHT_LOG__LEVEL": "error",
    }


@pytest.mark.parametrize("line", [b"postgresql://a:secret@b", b"a secret=1", b"=secret", b"\xff="])
def test_what_is_no_such_file_is_refused_without_a_quote(file: Path, line: bytes) -> None:
    file.write_bytes(b"# first\n" + line)
    with pytest.raises(ConfigError) as caught:
        take_environment(file)
    assert "secret" not in str(caught.value)
    assert str(file) in str(caught.value)


def test_a_file_that_is_not_there_is_named(file: Path) -> None:
    with pytest.raises(ConfigError, match="use sudo"):
        take_environment(file)
