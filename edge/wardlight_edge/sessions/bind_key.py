"""The bind key of a device that encrypts its advertisements.

In      32 hex digits in a file that only this account may use (secret_file.py)
Errors  PrivateFileError: file and what to do; never what stands in it
"""

from pathlib import Path
from typing import Final

from wardlight_edge import secret_file

KEY_BYTES: Final = 16


def read(path: Path) -> bytes:
    """The key in ``path``."""
    return secret_file.read_hex(path, "the bind key", KEY_BYTES)
