"""The README's table of devices is what firmware-configs/ holds."""

import subprocess
import sys
from pathlib import Path


def test_readme_lists_the_profiles_that_are_there(repository: Path) -> None:
    script = repository / "scripts" / "device-table"
    result = subprocess.run([sys.executable, str(script), "--check"], check=False, timeout=180)
    assert result.returncode == 0, "run scripts/device-table"
