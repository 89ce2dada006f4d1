"""The OHIF viewer's npm package made ready to be served at /ohif: verified, unpacked, adapted.

tarball -> sha512 as pinned -> files that are needed, at most so many and so large -> our settings
instead of its own, addresses under /ohif, no script inside the page, each text also compressed

Errors  ViewerError with words for the operator; what was begun is removed
"""

import base64
import gzip
import hashlib
import os
import re
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Final

from wardlight_shared.errors import WardlightError

PACKAGE: Final = "@ohif/app"
VERSION: Final = "3.13.2"
INTEGRITY: Final = (
    "sha512-WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5x"
    "XZB9E8EA=="
)
"""What npm's registry gives for this version; another file is not unpacked."""

_OUR_FILES: Final = Path(__file__).parent / "ohif_files"
_PREFIX: Final = PurePosixPath("package")
_DIST: Final = _PREFIX / "dist"
_NOTICES: Final = ("LICENSE", "README.md", "package.json")
_LEFT_OUT_FOLDERS: Final = frozenset(("ort", "dicom-microscopy-viewer", "customizations"))
_LEFT_OUT: Final = frozenset(
    ("_headers", "_redirects", "serve.json", "sw.js", "google.js", "silent-refresh.html",
     "oidc-client.min.js")
)  # fmt: skip
_TARBALL_MAX: Final = 80 << 20
_UNPACKED_MAX: Final = 400 << 20  # all of the archive, also what is left out
_FILES_MAX: Final = 2000
_PIECE: Final = 1 << 20
_COMPRESSED: Final = frozenset((".js", ".css", ".wasm", ".svg", ".json", ".html"))
_INLINE: Final = re.compile(r"<script>[^<]*</script>")


class ViewerError(WardlightError):
    """The viewer could not be installed; the text says why and what to do."""


def verify(tarball: Path, integrity: str = INTEGRITY) -> None:
    """Raise ViewerError unless the file has this integrity (W3C Subresource Integrity, sha512)."""
    size = tarball.stat().st_size
    if size > _TARBALL_MAX:
        raise ViewerError(f"{tarball.name}: {size} octets are more than the package can have.")
    with tarball.open("rb") as file:
        digest = hashlib.file_digest(file, "sha512").digest()
    found = f"sha512-{base64.b64encode(digest).decode()}"
    if found != integrity:
        raise ViewerError(
            f"{tarball.name}: wrong checksum, so nothing was installed. Expected {integrity}, "
            f"found {found}. It has to be {PACKAGE} {VERSION} as npm packs it; remove the file and "
            "fetch it again."
        )


def unpack(tarball: Path, folder: Path) -> int:
    """Write what is needed of a verified tarball into a new folder; returns how many octets."""
    try:
        with tarfile.open(tarball, "r:gz") as archive:
            return sum(_write(archive, member, folder) for member in _needed(archive))
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise ViewerError(f"{tarball.name}: cannot be unpacked ({error}).") from error


def _needed(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    size = files = 0
    for member in archive:
        size, files = size + member.size, files + 1
        if size > _UNPACKED_MAX or files > _FILES_MAX:
            raise ViewerError("The archive holds more than the package can have.")
        if member.isfile() and _place(member) is not None:
            yield member


def _place(member: tarfile.TarInfo) -> PurePosixPath | None:
    """Where a member goes; None = it is left out. Links and odd names go nowhere."""
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts or "\\" in member.name or "\0" in member.name:
        raise ViewerError(f"The archive holds a file with a forbidden name: {member.name!r}.")
    if path.parent == _PREFIX and path.name in _NOTICES:
        return PurePosixPath("notices") / path.name
    if not path.is_relative_to(_DIST):
        return None
    inner = path.relative_to(_DIST)
    is_left_out = inner.parts[0] in _LEFT_OUT_FOLDERS | _LEFT_OUT or inner.suffix == ".map"
    return None if is_left_out else inner


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> int:
    place = _place(member)
    source = archive.extractfile(member)
    if place is None or source is None:
        return 0
    target = folder / place
    target.parent.mkdir(parents=True, exist_ok=True)
    with source, target.open("xb") as file:
        return _copy(source, file)


def _copy(source: IO[bytes], target: IO[bytes]) -> int:
    size = 0
    while piece := source.read(_PIECE):
        size += target.write(piece)
    return size


def adapt(folder: Path) -> None:
    """Make an unpacked folder ours: settings, addresses, no inline script, no service worker."""
    for name in ("app-config.js", "init-service-worker.js", "start.js"):
        shutil.copyfile(_OUR_FILES / name, folder / name)
    page = folder / "index.html"
    try:
        page.write_text(_page(page.read_text(encoding="utf-8")), encoding="utf-8")
        for file in [*folder.glob("*.js"), *folder.glob("*.css"), folder / "manifest.json"]:
            _readdress(file)
    except (OSError, UnicodeDecodeError) as error:
        raise ViewerError(f"The package is not as {PACKAGE} {VERSION} is: {error}.") from error


def _page(html: str) -> str:
    """The page with addresses under /ohif and with our script in place of those inside it."""
    addressed = re.sub(r'(href|src|content)="/(?!/)', r'\1="/ohif/', html)
    ours, count = _INLINE.subn("", addressed)
    if not count or "<script>" in ours:
        raise ViewerError("The package's page is not as this program knows it.")
    # Without defer, before all others: they ask it where they are.
    return ours.replace("<head>", '<head><script src="/ohif/start.js"></script>', 1)


_ADDRESSES: Final = {
    ".js": ((b'__webpack_require__.p = "/"', b'__webpack_require__.p = "/ohif/"'),),
    ".css": ((b"url(/", b"url(/ohif/"),),
    ".json": ((b'"/assets/', b'"/ohif/assets/'), (b'"start_url": "/"', b'"start_url": "/ohif/"')),
}


def _readdress(file: Path) -> None:
    octets = file.read_bytes()
    changed = octets
    for old, new in _ADDRESSES[file.suffix]:
        changed = changed.replace(old, new)
    if changed != octets:
        file.write_bytes(changed)


def compress(folder: Path) -> None:
    """Lay a gzip copy beside each text: a viewer of 40 MiB is a quarter of that on the wire."""
    for file in list(folder.rglob("*")):
        if file.is_file() and file.suffix in _COMPRESSED and file.stat().st_size > 1024:
            octets = gzip.compress(file.read_bytes(), 6, mtime=0)
            file.with_name(f"{file.name}.gz").write_bytes(octets)


def sync(folder: Path) -> None:
    """Make a folder's files durable before a link names it."""
    for path in [*folder.rglob("*"), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
