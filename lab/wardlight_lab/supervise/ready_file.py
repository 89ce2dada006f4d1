"""The file by which a demo tells scripts and tests where everything is."""

import json
from collections.abc import Mapping
from pathlib import Path

from wardlight_cloud.private_file import write_private


def write_ready_file(path: Path, content: Mapping[str, object]) -> None:
    """Replace the file as a whole; private, because it holds a password and a token."""
    write_private(path, json.dumps(content, indent=2) + "\n")
