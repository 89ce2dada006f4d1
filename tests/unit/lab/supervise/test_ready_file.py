"""The file that tells where everything is."""

import json
import stat
from pathlib import Path

from wardlight_lab.supervise import write_ready_file


def test_it_is_json_private_and_replaced_as_a_whole(tmp_path: Path) -> None:
    file = tmp_path / "r.json"
    write_ready_file(file, {"password": "secret", "dicom_port": None})
    write_ready_file(file, {"pids": {"broker": 7}})
    assert json.loads(file.read_text()) == {"pids": {"broker": 7}}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]
