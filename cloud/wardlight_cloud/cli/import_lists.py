"""What an import left out, or has twice, or was not sent, as lines of text.

Files are taken a few at a time, so they are told in the order of their names: lists of two imports
can be compared.
"""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from wardlight_cloud.cli.file_names import named, plain
from wardlight_cloud.private_file import write_private
from wardlight_shared.errors import ConfigError

if TYPE_CHECKING:
    from wardlight_cloud.imaging.folder import FoundFile
    from wardlight_cloud.imaging.importing import ImportReport


def rejected(
    report: "ImportReport", count: int | None = None, encoding: str | None = None
) -> Iterator[str]:
    """What was left out, and why; ``count``: the first of them."""
    for file, reason in islice(sorted(report.rejects, key=lambda each: _place(each[0])), count):
        yield f"rejected  {_file(file, encoding)}  {reason}"


def conflicting(
    report: "ImportReport", count: int | None = None, encoding: str | None = None
) -> Iterator[str]:
    """What has the SOP Instance UID of another file; ``count``: the first of them."""
    for file in islice(sorted(report.conflicts, key=_place), count):
        name = _file(file, encoding)
        yield f"conflict  {name}  another file has its SOP Instance UID; both are kept"


def unsent(
    report: "ImportReport", count: int | None = None, encoding: str | None = None
) -> Iterator[str]:
    """What the PACS has not given, and why; ``count``: the first of it."""
    for uid, why in islice(report.unsent, count):
        yield f"not sent  {plain(uid, encoding) or '-'}  {plain(why, encoding)}"


def reasons(report: "ImportReport") -> Iterator[str]:
    """How many files were rejected for which reason."""
    for reason, count in Counter(reason for _, reason in report.rejects).most_common():
        yield f"{count} rejected: {reason}"


@contextmanager
def listed(report: "ImportReport", path: Path | None) -> Iterator[None]:
    """Write all of them to a file (mode 0600: names of files name patients) at the end.

    Also where the import does not come to its end. ConfigError at once for a file that cannot be
    written.
    """
    if path is None:
        yield
        return
    _write(path, "")
    try:
        yield
    finally:
        kinds = (rejected, conflicting, unsent)
        lines = (line for kind in kinds for line in kind(report, encoding="utf-8"))
        _write(path, "".join(f"{line}\n" for line in lines))


def _write(path: Path, text: str) -> None:
    try:
        write_private(path, text)
    except OSError as error:
        raise ConfigError(f"--rejects {path}: cannot be written ({error.strerror})") from error


def _place(file: "FoundFile") -> tuple[bytes, str]:
    return os.fsencode(file.path) if not file.sop_uid else b"", file.sop_uid


def _file(file: "FoundFile", encoding: str | None) -> str:
    return plain(file.sop_uid, encoding) if file.sop_uid else named(file.path, encoding)
