"""Files of exports on disk: ``<folder>/<export id>/<Kind>.<attempt>.<n>.ndjson``.

Each attempt writes files of its own, and what counts of a file is the length that the export's
progress names, after it was flushed. So nothing that a process leaves behind, or goes on writing
after it lost its lease, is ever handed out.
"""

import contextlib
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self
from uuid import UUID

import msgspec

DELETED: Final = "deleted"
ERRORS: Final = "error"
_FOLDER_MODE: Final = 0o700
_FILE_MODE: Final = 0o600


class ExportFile(msgspec.Struct, frozen=True, array_like=True):
    """A file as far as it counts. ``kind``: of its resources, or DELETED, or ERRORS."""

    name: str
    kind: str
    count: int
    size: int


class ExportFolder:
    """All exports' files; every process of the API sees the same folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, export_id: UUID, name: str) -> Path:
        """Of a file that an export's progress names."""
        return self._root / str(export_id) / name

    def has(self, export_id: UUID, files: Iterable[ExportFile]) -> bool:
        """Whether all files are there, as long as they should be at least."""
        try:
            return all(
                self.path(export_id, each.name).stat().st_size >= each.size for each in files
            )
        except OSError:
            return False

    def remove(self, export_id: UUID) -> None:
        """Remove the files of one; who reads one goes on reading it."""
        shutil.rmtree(self._root / str(export_id), ignore_errors=True)

    def exports(self) -> list[UUID]:
        """Those of which there are files."""
        found = []
        with contextlib.suppress(OSError):
            for each in os.scandir(self._root):
                with contextlib.suppress(ValueError):
                    found.append(UUID(each.name))
        return found

    def writer(
        self, export_id: UUID, attempt: int, files: Sequence[ExportFile], *, largest: int
    ) -> "Writer":
        """Adds to what an export has; OSError."""
        made = self._root / str(export_id)
        made.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        return Writer(made, attempt, files, largest)


class Writer:
    """Appends resources to files of their kinds; ``largest``: then another file begins."""

    def __init__(
        self, folder: Path, attempt: int, files: Sequence[ExportFile], largest: int
    ) -> None:
        self._folder = folder
        self._attempt = attempt
        self._before = tuple(files)
        self._largest = largest
        self._own: dict[str, ExportFile] = {}
        self._current: dict[str, str] = {}
        self._open: dict[str, BinaryIO] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for file in self._open.values():
            with contextlib.suppress(OSError):  # what was not flushed does not count
                file.close()

    @property
    def octets(self) -> int:
        """Of all files."""
        return sum(each.size for each in (*self._before, *self._own.values()))

    def count(self, kind: str) -> int:
        """How many resources of a kind there are so far."""
        return sum(each.count for each in (*self._before, *self._own.values()) if each.kind == kind)

    def write(self, kind: str, text: bytes, count: int) -> None:
        """Append lines."""
        if count == 0:
            return
        name = self._current.get(kind)
        if name is None or self._own[name].size >= self._largest:
            number = 1 + sum(each.kind == kind for each in self._own.values())
            name = self._current[kind] = f"{kind}.{self._attempt}.{number}.ndjson"
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
            descriptor = os.open(self._folder / name, flags, _FILE_MODE)
            self._open[name] = os.fdopen(descriptor, "wb", buffering=0)
            self._own[name] = ExportFile(name, kind, 0, 0)
        file = self._open[name]
        rest = memoryview(text)
        while rest:
            rest = rest[file.write(rest) :]
        before = self._own[name]
        self._own[name] = ExportFile(name, kind, before.count + count, before.size + len(text))

    def mark(self) -> "Mark":
        """What is written by now; files that nothing more comes to are its own."""
        current = set(self._current.values())
        ended = [self._open.pop(name) for name in list(self._open) if name not in current]
        return Mark(
            (*self._before, *self._own.values()),
            tuple(self._open.values()), tuple(ended), (self._folder, self._folder.parent),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mark:
    """What was written by a moment: ``files`` count once ``flush`` is done."""

    files: tuple[ExportFile, ...]
    _going_on: tuple[BinaryIO, ...]
    _ended: tuple[BinaryIO, ...]
    _folders: tuple[Path, ...]

    def flush(self) -> None:
        """Bring it to the disk; in any thread, beside further writing, once. OSError."""
        with contextlib.ExitStack() as stack:
            for file in self._ended:
                stack.callback(file.close)
            for file in (*self._going_on, *self._ended):
                os.fsync(file.fileno())
            for folder in self._folders:
                descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
                stack.callback(os.close, descriptor)
                os.fsync(descriptor)
