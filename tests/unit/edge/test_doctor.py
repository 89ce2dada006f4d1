"""What ``doctor`` says of files beside the settings."""

from pathlib import Path

import pytest

from support.edge_settings import settings_for
from wardlight_edge import doctor
from wardlight_edge.config import DeviceSettings

KEY = "231d39c1d7cc1ab1aee224cd096db932"


@pytest.mark.parametrize(
    ("mode", "content", "good", "text"),
    [
        (0o600, KEY, True, "scale.key"),
        (0o644, KEY, False, "chmod 600"),
        (0o600, KEY[:-2], False, "32 hex digits"),
        (0o600, None, False, "cannot be read"),
    ],
)
def test_a_bind_key_is_looked_at(
    tmp_path: Path, mode: int, content: str | None, good: bool, text: str
) -> None:
    file = tmp_path / "scale.key"
    if content is not None:
        file.write_text(content)
        file.chmod(mode)
    device = DeviceSettings(identity="ble:5448E68F80A5", profile="x", bind_key_file=file)
    findings = doctor.examine(settings_for(tmp_path, device))
    (finding,) = [each for each in findings if each.what == "bind key of ble:5448E68F80A5"]
    assert finding.good is good
    assert text in finding.text
    assert KEY not in finding.text
