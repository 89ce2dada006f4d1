"""The files of a folder that somebody gave us, without following what leads out of it.

Out     files in the order of their paths; what is skipped comes with its reason
Source  PS3.10 8 (file sets), F (DICOMDIR)
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DIRECTORY_NAME: Final = "DICOMDIR"
_DEEPEST: Final = 64


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file to look at; ``skipped``: why it is not."""

    path: Path
    size: int = 0
    skipped: str | None = None


def files_of(source: Path) -> Iterator[FoundFile]:
    """The files below a folder, or the one file that ``source`` is.

    A DICOMDIR stands for its folder. OSError where the source itself cannot be read.
    """
    if source.is_dir():
        yield from _below(source, 0)
    elif source.name.upper() == DIRECTORY_NAME:
        yield from _below(source.parent, 0)
    else:
        yield FoundFile(source, source.stat().st_size)


def _below(folder: Path, depth: int) -> Iterator[FoundFile]:
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        path = folder / entry.name
        if entry.is_symlink():
            yield FoundFile(path, skipped="a symbolic link is not followed")
        elif entry.is_dir(follow_symlinks=False):
            yield from _folder(path, depth + 1)
        elif not entry.is_file(follow_symlinks=False):
            yield FoundFile(path, skipped="neither a file nor a folder")
        elif entry.name.upper() != DIRECTORY_NAME:
            yield FoundFile(path, entry.stat(follow_symlinks=False).st_size)


def _folder(path: Path, depth: int) -> Iterator[FoundFile]:
    if depth > _DEEPEST:
        yield FoundFile(path, skipped=f"more than {_DEEPEST} folders deep")
        return
    try:
        yield from _below(path, depth)
    except OSError as error:
        yield FoundFile(path, skipped=f"cannot be read ({error.strerror})")
