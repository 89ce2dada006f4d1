"""`wardlight-edge decode` in this process."""

import io
import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from wardlight_edge.cli import main

Run = Callable[..., tuple[int, Any, str]]
"""Arguments and ``stdin`` to exit code, document, standard error."""


def running(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command, its output caught by the test's fixtures."""

    def run(*arguments: str, stdin: str = "") -> tuple[int, Any, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        code = main(["decode", *arguments])
        said = capsys.readouterr()
        return code, json.loads(said.out) if said.out else None, said.err

    return run
