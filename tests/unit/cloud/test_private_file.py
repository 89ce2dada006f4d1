"""Files that are private, whole and on the disk."""

import stat
from pathlib import Path

import pytest

from wardlight_cloud.private_file import write_private


def test_content_is_replaced_and_private(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("old")
    file.chmod(0o644)
    write_private(file, "new")
    assert file.read_text() == "new"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_failed_write_leaves_the_old_content_and_no_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "secret"
    write_private(file, "old")

    def refuse(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(OSError, match="No space left"):
        write_private(file, b"new")
    assert file.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret"]
