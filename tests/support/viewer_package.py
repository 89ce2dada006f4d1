"""A small npm tarball in the form of OHIF's, and an installer that takes it for the real one."""

import base64
import hashlib
import io
import tarfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from wardlight_cloud.dashboard.ohif_install import Installer
from wardlight_cloud.dashboard.ohif_package import verify

PAGE = (
    '<!doctype html><html><head><meta charset="utf-8"><link rel="icon" href="/assets/a.ico">'
    '<script>window.PUBLIC_URL="/"</script><script src="/app-config.js"></script>'
    '<script defer src="/app.bundle.0123456789abcdef.js"></script></head><body></body></html>'
)
APP = "app.bundle.0123456789abcdef.js"
FILES = {
    "package/LICENSE": b"MIT",
    "package/package.json": b"{}",
    "package/dist/index.html": PAGE.encode(),
    "package/dist/app-config.js": b"window.config = 'https://demo.example'",
    "package/dist/init-service-worker.js": b"importScripts('https://cdn.example/w.js')",
    f"package/dist/{APP}": b'__webpack_require__.p = "/";' + b"//" * 2000,
    "package/dist/0123456789abcdef.wasm": b"\0asm" + bytes(2000),
    "package/dist/main.css": b"src: url(/font.woff2)",
    "package/dist/manifest.json": b'{"start_url": "/", "icons": [{"src": "/assets/a.png"}]}',
    "package/dist/assets/a.ico": b"icon",
    "package/dist/main.js.map": b"{}",
    "package/dist/sw.js": b"",
    "package/dist/ort/ort.js": b"",
    "package/dist/dicom-microscopy-viewer/x.js": b"",
}


def tarball(path: Path, files: Mapping[str, bytes] = FILES, *more: tarfile.TarInfo) -> Path:
    """Write a .tgz; ``more`` members have no content."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for member in more:
            archive.addfile(member)
    return path


def integrity(path: Path) -> str:
    """As npm writes it."""
    return f"sha512-{base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()}"


def installer(viewers: Path, trusted: Path) -> Installer:
    """One that takes this tarball as the right one."""
    return Installer(viewers, verified=partial(verify, integrity=integrity(trusted)))
