"""The command as a person runs it."""

import pytest

from support.decode_command import Run, running


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Exit code, document, standard error of `wardlight-edge decode`."""
    return running(capsys, monkeypatch)
