"""Files that an import left out, and those that have the UID of another one, as lines of text."""

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
    for file, reason in islice(report.rejects, count):
        yield f"rejected  {_file(file, encoding)}  {reason}"


def conflicting(
    report: "ImportReport", count: int | None = None, encoding: str | None = None
) -> Iterator[str]:
    """What has the SOP Instance UID of another file; ``count``: the first of them."""
    for file in islice(report.conflicts, count):
        name = _file(file, encoding)
        yield f"conflict  {name}  another file has its SOP Instance UID; both are kept"


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
        lines = (*rejected(report, encoding="utf-8"), *conflicting(report, encoding="utf-8"))
        _write(path, "".join(f"{line}\n" for line in lines))


def _write(path: Path, text: str) -> None:
    try:
        write_private(path, text)
    except OSError as error:
        raise ConfigError(f"--rejects {path}: cannot be written ({error.strerror})") from error


def _file(file: "FoundFile", encoding: str | None) -> str:
    return plain(file.sop_uid, encoding) if file.sop_uid else named(file.path, encoding)
