"""TLS of the DICOM services: version 1.2 or newer (PS3.15, B.9), client certificates by setting.

A certificate that was renewed is taken with the next association, without a restart.

Errors  ConfigError: file and what to do
"""

import logging
import ssl
import threading
from pathlib import Path

from wardlight_edge import secret_file
from wardlight_edge.imaging_settings import TlsSettings
from wardlight_shared.errors import ConfigError

_log = logging.getLogger(__name__)
_Stamp = tuple[tuple[int, int, int] | None, ...]


class ServerTls:
    """The context for associations that modalities open, made anew when its files have changed.

    ConfigError at the start when the files cannot be used; later ones that cannot be used, as they
    are while they are being replaced, are logged and those of before stay in use.
    """

    def __init__(self, settings: TlsSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._stamp = _stamp(settings)
        self._context = server_context(settings)

    def context(self) -> ssl.SSLContext:
        """For the next association; any thread may call."""
        with self._lock:
            stamp = _stamp(self._settings)
            if stamp != self._stamp:
                self._renew(stamp)
            return self._context

    def _renew(self, stamp: _Stamp) -> None:
        try:
            self._context = server_context(self._settings)
        except ConfigError as error:
            _log.error("the certificate of before stays in use", extra={"reason": str(error)})
        else:
            _log.info("the TLS files of DICOM were read anew")
        self._stamp = stamp


def _stamp(settings: TlsSettings) -> _Stamp:
    files = (settings.cert_file, settings.key_file, settings.ca_file)
    return tuple(None if file is None else _version(file) for file in files)


def _version(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def server_context(settings: TlsSettings) -> ssl.SSLContext:
    """For associations that modalities open."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load(context, settings)
    if settings.ca_file is not None:
        context.verify_mode = ssl.CERT_REQUIRED if settings.require else ssl.CERT_OPTIONAL
    return context


def client_context(settings: TlsSettings) -> ssl.SSLContext:
    """For associations that the gateway opens, with its certificate.

    Modalities have certificates for their AE titles, not for host names: the authority counts.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    _load(context, settings)
    if settings.ca_file is None:
        raise ConfigError("dicom.tls: ca_file is needed to open associations over TLS")
    return context


def _load(context: ssl.SSLContext, settings: TlsSettings) -> None:
    try:
        mode = settings.key_file.stat().st_mode
    except OSError as error:
        raise ConfigError(
            f"dicom.tls: key_file {settings.key_file} cannot be read ({error.strerror})"
        ) from error
    if secret_file.is_open_to_others(mode):
        raise ConfigError(
            f"dicom.tls: others may use {settings.key_file}; run: chmod 600 {settings.key_file}"
        )
    try:
        context.load_cert_chain(settings.cert_file, settings.key_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"dicom.tls: {settings.cert_file} and {settings.key_file} cannot be used ({error})"
        ) from error
    if settings.ca_file is None:
        return
    try:
        context.load_verify_locations(settings.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"dicom.tls: ca_file {settings.ca_file} cannot be used ({error})"
        ) from error
