"""Reading a secret (a key, a code) from a file that only this account may use.

In      a short ASCII text, mode 0600. Group read is allowed: systemd shows the access list of a
        credential as group bits
Errors  PrivateFileError: the file and what to do; never what stands in it
"""

import os
import stat
from pathlib import Path
from typing import Final

from wardlight_shared.errors import ConfigError

MOST_BYTES: Final = 1024
_FORBIDDEN: Final = stat.S_IRWXO | stat.S_IWGRP | stat.S_IXGRP


class PrivateFileError(ConfigError):
    """A private file that is not there, that others may use, or that holds something else."""


def read(path: Path, what: str) -> str:
    """The text without the white space around it; ``what`` it is, for messages: "the bind key"."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            octets = file.read(MOST_BYTES)
    except OSError as error:
        raise PrivateFileError(f"{path}: {what} cannot be read ({error.strerror})") from error
    if is_open_to_others(mode):
        raise PrivateFileError(f"{path}: others may use {what}; run: chmod 600 {path}")
    return octets.decode("ascii", errors="replace").strip()


def read_hex(path: Path, what: str, count: int) -> bytes:
    """A key of ``count`` bytes, written as hex digits."""
    try:
        key = bytes.fromhex(read(path, what))
    except ValueError:
        key = b""
    if len(key) != count:
        raise PrivateFileError(f"{path}: {what} must be {2 * count} hex digits")
    return key


def is_open_to_others(mode: int) -> bool:
    """Whether a file of this mode may be used by more than its account."""
    return bool(mode & _FORBIDDEN)
