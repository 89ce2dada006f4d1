"""The bind key of a device that encrypts its advertisements: a file only this account may use.

In      32 hex digits, mode 0600 (group read is allowed: systemd shows the access list of a
        credential as group bits)
Errors  ConfigError: file and what to do; never what stands in it
"""

import stat
from pathlib import Path
from typing import Final

from wardlight_shared.errors import ConfigError

KEY_BYTES: Final = 16
_FORBIDDEN: Final = stat.S_IRWXO | stat.S_IWGRP | stat.S_IXGRP
_MOST_BYTES: Final = 1024


def read(path: Path) -> bytes:
    """The key in ``path``."""
    try:
        with path.open("rb") as file:
            mode = path.stat().st_mode
            text = file.read(_MOST_BYTES)
    except OSError as error:
        raise ConfigError(f"{path}: the bind key cannot be read ({error.strerror})") from error
    if mode & _FORBIDDEN:
        raise ConfigError(f"{path}: others may use the bind key; run: chmod 600 {path}")
    try:
        key = bytes.fromhex(text.decode("ascii").strip())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise ConfigError(f"{path}: a bind key is {2 * KEY_BYTES} hex digits")
    return key
