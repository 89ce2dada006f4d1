"""The folder of a file set: names of its files, and which of them are there.

Errors  ConfigError: a folder that must not be written to
Source  PS3.10 8.2 (file ids: up to 8 components of 1 to 8 of A-Z 0-9 _), 8.6 (DICOMDIR)
"""

import base64
import hashlib
from pathlib import Path
from typing import Final, Protocol

from wardlight_cloud.imaging.folder import VERSIONS_NAME
from wardlight_cloud.store.imaging import InstanceRef, Version
from wardlight_shared.errors import ConfigError

FILE_SET_ID: Final = "WARDLIGHT"
_PIECE: Final = 1024 * 1024


class Stored(Protocol):
    """An object: InstanceRef, Version."""

    @property
    def sop_uid(self) -> str:
        """Of which instance it is."""

    @property
    def sha256(self) -> bytes:
        """Its hash."""

    @property
    def size(self) -> int:
        """Its octets."""


def prepare(folder: Path, *, is_update: bool) -> None:
    """Make the folder ready."""
    folder.mkdir(parents=True, exist_ok=True)
    if not is_update and any(folder.iterdir()):
        raise ConfigError(
            f"{folder}: not empty; give --update to go on with an export that is there, or to add "
            "to it, or name an empty folder"
        )


def file_id_of(
    patient: tuple[str, str], ref: InstanceRef, taken: set[tuple[str, ...]]
) -> tuple[str, ...]:
    """Components of the file's id, another one than those of its study that are taken."""
    folders = (_name("P", "|".join(patient)), _name("S", ref.study_uid), _name("E", ref.series_uid))
    name, attempt = _name("I", ref.sop_uid), 0
    while (*folders, name) in taken:
        attempt += 1
        name = _name("I", f"{ref.sop_uid}#{attempt}")
    taken.add((*folders, name))
    return (*folders, name)


def version_id_of(version: Version, taken: set[tuple[str, ...]]) -> tuple[str, ...]:
    """Components of the file of a version that is not shown: the DICOMDIR does not name it."""
    folders = (VERSIONS_NAME, _name("S", version.study_uid), _name("I", version.sop_uid))
    name, attempt = _name("V", version.sha256.hex()), 0
    while (*folders, name) in taken:
        attempt += 1
        name = _name("V", f"{version.sha256.hex()}#{attempt}")
    taken.add((*folders, name))
    return (*folders, name)


def _name(kind: str, identity: str) -> str:
    """Eight characters: the kind and 35 bits of the hash of what is named."""
    digest = hashlib.sha256(identity.encode()).digest()
    return kind + base64.b32encode(digest).decode()[:7]


def is_there(file: Path, ref: Stored) -> bool:
    """Whether an earlier run has written this file."""
    try:
        if file.stat().st_size != ref.size:
            return False
        digest = hashlib.sha256()
        with file.open("rb") as opened:
            while piece := opened.read(_PIECE):
                digest.update(piece)
    except FileNotFoundError:
        return False
    return digest.digest() == ref.sha256
