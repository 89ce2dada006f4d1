"""The files of a folder that somebody gave us, without following what leads out of it.

Out     files in the order of their paths; what is skipped comes with its reason
Source  PS3.10 8 (file sets), F (DICOMDIR)
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

DIRECTORY_NAME: Final = "DICOMDIR"
VERSIONS_NAME: Final = "VERSIONS"
"""Folder of an export with the files that share their SOP Instance UID with one that is shown."""
_DEEPEST: Final = 64
_NO_FILE: Final = "neither a file nor a folder"


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file to look at; ``skipped``: why it is not.

    ``is_beside``: an export of ours has it as one that another one is shown for. ``sop_uid``: of
    what came from a PACS, where no path tells anything; as the PACS says it, which is no UID maybe.
    """

    path: Path
    size: int = 0
    skipped: str | None = None
    is_beside: bool = False
    sop_uid: str = ""


def files_of(source: Path) -> Iterator[FoundFile]:
    """The files below a folder, or the one file that ``source`` is.

    A DICOMDIR stands for its folder. OSError where the source itself cannot be read.
    """
    status = source.stat()
    if stat.S_ISDIR(status.st_mode):
        yield from _below(source, 0)
    elif source.name.upper() == DIRECTORY_NAME:
        yield from _below(source.parent, 0)
    else:
        is_file = stat.S_ISREG(status.st_mode)
        yield FoundFile(source, status.st_size, None if is_file else _NO_FILE)


def _below(folder: Path, depth: int) -> Iterator[FoundFile]:
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: (_is_beside(entry.name), entry.name))
    for entry in found:
        path = folder / entry.name
        try:
            if entry.is_dir(follow_symlinks=False):
                below = _folder(path, depth + 1)
                is_beside = _is_beside(entry.name)
                yield from (replace(each, is_beside=True) if is_beside else each for each in below)
            elif entry.name.upper() != DIRECTORY_NAME:
                yield _file(path, entry)
        except OSError as error:  # gone by now, or a damaged disc: the others are still there
            yield FoundFile(path, skipped=f"cannot be read ({error.strerror})")


def _is_beside(name: str) -> bool:
    """Last of its folder: what is to be shown has come when it comes."""
    return name.upper() == VERSIONS_NAME


def _file(path: Path, entry: os.DirEntry[str]) -> FoundFile:
    if entry.is_symlink():
        return FoundFile(path, skipped="a symbolic link is not followed")
    if not entry.is_file(follow_symlinks=False):
        return FoundFile(path, skipped=_NO_FILE)
    return FoundFile(path, entry.stat(follow_symlinks=False).st_size)


def _folder(path: Path, depth: int) -> Iterator[FoundFile]:
    if depth > _DEEPEST:
        yield FoundFile(path, skipped=f"more than {_DEEPEST} folders deep")
        return
    try:
        yield from _below(path, depth)
    except OSError as error:
        yield FoundFile(path, skipped=f"cannot be read ({error.strerror})")
