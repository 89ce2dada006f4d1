"""A long command tells how far it is, while that changes."""

import pytest

from support.waiting import wait_until
from wardlight_cloud.cli import progress


async def test_what_changed_is_told_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "_EVERY_S", 0.001)
    said, asked = "0 files", 0

    def line() -> str:
        nonlocal asked
        asked += 1
        return said

    async with progress.telling(line):
        await wait_until(lambda: asked > 3)
        said = "1 files"
        before = asked
        await wait_until(lambda: asked > before + 3)
    assert capsys.readouterr().err == "1 files\n"
