"""A reserve that no disk could hold is a wrong setting, said before anything is accepted."""

import os
from pathlib import Path

import msgspec
import pytest

from support.edge_settings import settings_for
from support.outbox_records import KEY
from wardlight_edge import daemon, doctor
from wardlight_edge.clock import SystemClock
from wardlight_edge.config import OutboxSettings, Settings
from wardlight_edge.outbox.quota import check_reserve
from wardlight_shared.errors import ConfigError


def settings_with(folder: Path, reserve_bytes: int) -> Settings:
    outbox = OutboxSettings(reserve_bytes=reserve_bytes, min_free_bytes=0)
    return msgspec.structs.replace(settings_for(folder), outbox=outbox)


def disk_bytes(folder: Path) -> int:
    disk = os.statvfs(folder)
    return disk.f_blocks * disk.f_frsize


def test_the_whole_disk_is_the_most(tmp_path: Path) -> None:
    check_reserve(settings_with(tmp_path, disk_bytes(tmp_path)).outbox, tmp_path)
    settings = settings_with(tmp_path, disk_bytes(tmp_path) + 1)
    with pytest.raises(ConfigError, match=r"outbox\.reserve_bytes .* set them lower"):
        daemon.open_outbox(settings, SystemClock(), KEY)
    (finding,) = [each for each in doctor.examine(settings) if each.what == "data_dir"]
    assert "outbox.reserve_bytes" in finding.text
    assert not finding.good
