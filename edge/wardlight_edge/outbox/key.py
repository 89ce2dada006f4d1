"""The outbox key: 32 random bytes as 64 hex digits in a file only this account may use.

A systemd credential is such a file too; it is read, never made.

Errors  ConfigError: file and what to do
"""

import os
import secrets
from pathlib import Path
from typing import Final

from wardlight_edge import secret_file
from wardlight_edge.durable import sync_folder
from wardlight_shared.errors import ConfigError

KEY_BYTES: Final = 32


def read_or_make(path: Path) -> bytes:
    """Return the key of ``path``; an absent file is made with mode 0600."""
    if not path.exists():
        _make(path)
    return read(path)


def read(path: Path) -> bytes:
    """Return the key of an existing file."""
    return secret_file.read_hex(path, "the key", KEY_BYTES)


def _make(path: Path) -> None:
    """Write a temporary file, sync, then link: a half-written key never has the right name."""
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "x", opener=_private, encoding="ascii") as file:
            file.write(secrets.token_hex(KEY_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            pass  # another process was first: its key counts
        finally:
            temporary.unlink()
        sync_folder(path.parent)
    except OSError as error:
        raise ConfigError(f"{path}: the outbox key cannot be made ({error})") from error


def _private(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)
