"""Installs and removes the OHIF viewer in a folder, all at once or not at all.

<viewers>/ohif           a link to the folder of the installed one; it changes in one step
<viewers>/ohif-3.13.2-*  that folder; one without a link is what a failed attempt left
<viewers>/incoming/      the tarball, kept until it is installed: the next attempt goes on with it
"""

import os
import secrets
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

from wardlight_cloud.dashboard.ohif_package import (
    PACKAGE,
    VERSION,
    ViewerError,
    adapt,
    compress,
    sync,
    unpack,
    verify,
)
from wardlight_cloud.folder_lock import FolderInUse, FolderLock

VIEWERS: Final = "viewers"  # the folder in the data folder
LINK: Final = "ohif"
_FETCH_S: Final = 900.0
_TOLD: Final = 600  # octets of npm's words that are passed on

Fetch = Callable[[Path], Path]
"""Brings the tarball into a folder and returns its path; raises ViewerError."""


def npm_pack(folder: Path) -> Path:
    """Fetch by the npm client, so that the registry and proxy of its own settings count."""
    npm = shutil.which("npm")
    if npm is None:
        raise ViewerError(
            "npm is not installed, and it fetches the viewer. Install it (apt install npm), or "
            f"fetch on another machine with `npm pack {PACKAGE}@{VERSION}` and give the file: "
            "`wardlight-cloud viewer install --from FILE`."
        )
    command = [npm, "pack", f"{PACKAGE}@{VERSION}", "--ignore-scripts", "--pack-destination"]
    try:
        done = subprocess.run(
            [*command, str(folder)], capture_output=True, text=True, timeout=_FETCH_S, cwd=folder
        )
    except subprocess.TimeoutExpired as error:
        raise ViewerError(f"npm did not end within {_FETCH_S:.0f} s. Try again.") from error
    found = sorted(folder.glob("*.tgz"))
    if done.returncode != 0 or not found:
        said = (done.stderr or done.stdout).strip()[-_TOLD:]
        raise ViewerError(
            f"npm could not fetch {PACKAGE} {VERSION} (exit code {done.returncode}). Check the "
            f"network and npm's settings, or use --from FILE. npm said: {said}"
        )
    return found[-1]


class Installer:
    """Works in one folder; one process at a time. ``verified`` raises for a wrong tarball."""

    def __init__(self, viewers: Path, *, verified: Callable[[Path], None] = verify) -> None:
        self._viewers = viewers
        self._link = viewers / LINK
        self._incoming = viewers / "incoming"
        self._verified = verified

    @property
    def installed(self) -> Path | None:
        """The folder that is served; None = not installed."""
        folder = self._link.resolve()
        return folder if self._link.is_symlink() and (folder / "index.html").is_file() else None

    def install(self, tarball: Path | None, fetch: Fetch = npm_pack) -> Path:
        """Install from a tarball, or from one that is fetched; returns the folder."""
        with _Alone(self._viewers):
            self._clean()
            source = tarball if tarball is not None else self._fetched(fetch)
            if not source.is_file():
                raise ViewerError(f"{source}: there is no such file.")
            self._verified(source)
            folder = self._viewers / f"{LINK}-{VERSION}-{secrets.token_hex(4)}"
            folder.mkdir()
            try:
                _fill(folder, source)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
            self._serve(folder)
            shutil.rmtree(self._incoming, ignore_errors=True)
            self._clean()
            return folder

    def remove(self) -> bool:
        """Remove what is installed; False when nothing was."""
        with _Alone(self._viewers):
            was_there = self._link.is_symlink()
            self._link.unlink(missing_ok=True)
            shutil.rmtree(self._incoming, ignore_errors=True)
            self._clean()
            return was_there

    def _fetched(self, fetch: Fetch) -> Path:
        for left in sorted(self._incoming.glob("*.tgz")):
            try:
                self._verified(left)
            except ViewerError:
                left.unlink()  # cut off, or of another version: it is fetched anew
            else:
                return left
        self._incoming.mkdir(exist_ok=True)
        return fetch(self._incoming)

    def _serve(self, folder: Path) -> None:
        new = self._viewers / f"{LINK}.new"
        new.unlink(missing_ok=True)
        new.symlink_to(folder.name)
        new.replace(self._link)
        descriptor = os.open(self._viewers, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _clean(self) -> None:
        """Remove folders that the link does not name."""
        served = self._link.resolve()
        for folder in self._viewers.glob(f"{LINK}-*"):
            if folder != served:
                shutil.rmtree(folder)


def _fill(folder: Path, tarball: Path) -> None:
    unpack(tarball, folder)
    adapt(folder)
    compress(folder)
    sync(folder)


class _Alone:
    """The right to change a folder, which is made when it is not there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = FolderLock(folder / "lock")

    def __enter__(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except FolderInUse as error:
            raise ViewerError("Another `viewer` command is at work; try again later.") from error
        except OSError as error:
            raise ViewerError(
                f"{self._folder}: cannot be written ({error.strerror}). Run this as the user that "
                "the service runs as."
            ) from error

    def __exit__(self, *_: object) -> None:
        self._lock.release()
