"""``wardlight-edge doctor``: what the DICOM services need, where this gateway takes images.

Port, peers, TLS files, folder, disk, clock and the places that reports go to. Nothing is changed;
a port is tried by listening on it for a moment.
"""

import os
import shutil
import socket
import stat
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from wardlight_edge import imaging_status
from wardlight_edge.config import Settings
from wardlight_edge.dicom import tls
from wardlight_edge.findings import Finding, bad, good
from wardlight_edge.imaging_health import SILENT_S
from wardlight_edge.imaging_settings import DicomSettings, TlsSettings
from wardlight_edge.ntp import kernel_clock
from wardlight_edge.uplink import certificate
from wardlight_shared.errors import ConfigError

_FOLDER: Final = "dicom"
_RENEW_BEFORE: Final = timedelta(days=14)


def imaging(settings: Settings) -> Iterator[Finding]:
    """All checks; none where nothing says that this gateway takes images."""
    dicom, folder = settings.dicom, settings.data_dir / _FOLDER
    if dicom == DicomSettings() and not folder.exists():
        return
    yield _peers(dicom)
    yield _port(settings)
    yield _tls(dicom)
    yield from _folder(folder)
    yield _disk(settings)
    yield _clock(dicom)
    yield from _report_hosts(dicom)


def _peers(dicom: DicomSettings) -> Finding:
    if dicom.peers:
        return good("dicom.peer", f"{len(dicom.peers)} admitted")
    if dicom.admit_loopback:
        return good("dicom.peer", "none; any calling AE title from this machine is admitted")
    return bad("dicom.peer", "none is listed: nobody will be admitted; add a [[dicom.peer]]")


def _port(settings: Settings) -> Finding:
    dicom = settings.dicom
    place = f"{dicom.host} port {dicom.port}"
    status = imaging_status.read(settings.data_dir)
    if status is not None and time.time() - status.updated_ms / 1000 < SILENT_S:
        return good("dicom.port", f"`wardlight-edge dicom` listens on port {status.port}")
    try:
        family = socket.getaddrinfo(dicom.host, dicom.port, type=socket.SOCK_STREAM)[0][0]
        socket.create_server((dicom.host, dicom.port), family=family).close()
    except OSError as error:
        text = f"{place} cannot be listened on ({error.strerror}): free it, or set another"
        return bad("dicom.port", text)
    return bad("dicom.port", f"{place} is free: start `wardlight-edge dicom`")


def _tls(dicom: DicomSettings) -> Finding:
    if dicom.tls is None:
        return good("dicom.tls", "none: images and names cross the local network in the clear")
    try:
        tls.server_context(dicom.tls)
        return _valid(dicom.tls)
    except ConfigError as error:
        return bad("dicom.tls", str(error).removeprefix("dicom.tls: "))


def _valid(settings: TlsSettings) -> Finding:
    now, found = datetime.now(UTC), certificate.read(settings.cert_file)
    text = f"{settings.cert_file}, valid until {found.valid_to:%Y-%m-%d}"
    if found.valid_to - now < _RENEW_BEFORE:
        return bad("dicom.tls", f"{text}: put a new one there, it is taken without a restart")
    return good("dicom.tls", text)


def _folder(folder: Path) -> Iterator[Finding]:
    for path, right in ((folder, 0o700), (folder / "spool.sqlite", 0o600)):
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except FileNotFoundError:
            continue
        except OSError as error:
            yield bad("dicom folder", f"{path} cannot be looked at ({error.strerror})")
            return
        if mode & 0o077:
            yield bad("dicom folder", f"others may use {path}: chmod {right:o} {path}")
            return
        if not os.access(path, os.W_OK):
            yield bad("dicom folder", f"{path} is not writable: give it to the gateway's account")
            return
    yield good("dicom folder", str(folder))


def _disk(settings: Settings) -> Finding:
    folder, least = settings.data_dir, settings.dicom.min_free_bytes
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    text = f"{free >> 20} MiB free, {least >> 20} of them are left to vitals (dicom.min_free_bytes)"
    if free <= least:
        return bad("dicom disk", f"{text}: images are refused; free disk")
    return good("dicom disk", text)


def _clock(dicom: DicomSettings) -> Finding:
    if kernel_clock() is not None:
        return good("dicom clock", "synchronised: the age of the worklist is known")
    text = "not synchronised: after a restart the worklist counts as too old"
    if dicom.worklist.when_stale == "refuse":
        return bad("dicom clock", f"{text}, and queries are refused; set up NTP")
    return good("dicom clock", text)


def _report_hosts(dicom: DicomSettings) -> Iterator[Finding]:
    for peer in dicom.peers:
        if peer.report_host is None:
            continue
        what = f"dicom.peer {peer.calling_ae}"
        try:
            socket.getaddrinfo(peer.report_host, peer.report_port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            text = f"report_host {peer.report_host} does not resolve: no report can be delivered"
            yield bad(what, text)
        else:
            yield good(what, f"reports go to {peer.report_host} port {peer.report_port}")
