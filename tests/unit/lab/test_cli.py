"""What the command line hands on to a demo."""

from pathlib import Path

import pytest

from wardlight_lab import cli
from wardlight_lab.demo import run


def test_a_demo_is_told_how_long_to_run_and_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[run.Options] = []

    class Demo:
        def __init__(self, options: run.Options) -> None:
            given.append(options)

        async def run(self) -> int:
            return 7

    monkeypatch.setattr(run, "Demo", Demo)
    words = ["--data-dir", str(tmp_path), "--for", "60", "--http-port", "0"]
    assert cli.main(["demo", *words]) == 7
    assert given == [run.Options(tmp_path, None, 60.0, 0, None)]
