"""``wardlight-edge doctor``: does this machine have what the settings ask for?

Every bad finding says what to do. Nothing is changed.
"""

import errno
import os
import shutil
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from wardlight_edge import doctor_imaging, doctor_keys, doctor_radios, profiles, secret_file
from wardlight_edge.config import Settings, UplinkSettings, profile_names
from wardlight_edge.enrolment import register
from wardlight_edge.findings import Finding
from wardlight_edge.ntp import kernel_clock
from wardlight_edge.outbox.quota import check_reserve
from wardlight_edge.uplink import certificate, tls
from wardlight_shared.errors import ConfigError

_RENEW_BEFORE: Final = timedelta(days=14)
_REFUSAL_S: Final = 1.0


def examine(settings: Settings) -> list[Finding]:
    """Run all checks."""
    listed = settings
    enrolled, settings = _enrolled(listed)
    return [
        _data_dir(settings),
        *enrolled,
        _profiles(settings),
        *_keys(settings.uplink, settings.gateway),
        _broker(settings.uplink, settings.gateway),
        *_devices(settings, listed),
        _clock(),
        *doctor_imaging.imaging(settings),
    ]


def _enrolled(settings: Settings) -> tuple[list[Finding], Settings]:
    """The enrolled devices too, where this account may read them."""
    try:
        whole = register.merged(settings)
    except ConfigError as error:
        return [Finding("enrolled devices", good=False, text=str(error))], settings
    count = len(whole.devices) - len(settings.devices)
    return ([Finding("enrolled devices", good=True, text=str(count))] if count else []), whole


def _data_dir(settings: Settings) -> Finding:
    folder = settings.data_dir
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(existing, os.W_OK):
        return Finding("data_dir", good=False, text=f"{existing} is not writable: chown it")
    try:
        check_reserve(settings.outbox, existing)
    except ConfigError as error:
        return Finding("data_dir", good=False, text=str(error))
    free = shutil.disk_usage(existing).free
    if free < settings.outbox.min_free_bytes:
        need = settings.outbox.min_free_bytes >> 20
        return Finding("data_dir", good=False, text=f"{free >> 20} MiB free, needs {need}")
    return Finding("data_dir", good=True, text=f"{free >> 20} MiB free")


def _profiles(settings: Settings) -> Finding:
    try:
        found = profiles.load(settings.profiles_dir, profile_names(settings))
    except ConfigError as error:
        return Finding("profiles", good=False, text=str(error))
    return Finding("profiles", good=True, text=f"{len(found)} in use")


def _keys(uplink: UplinkSettings, gateway: str) -> Iterator[Finding]:
    for name in ("ca_file", "cert_file", "key_file"):
        path: Path = getattr(uplink, name)
        if not path.is_file():
            yield Finding(f"uplink.{name}", good=False, text=f"{path} is not there")
        elif name == "key_file" and secret_file.is_open_to_others(path.stat().st_mode):
            yield Finding(
                f"uplink.{name}", good=False, text=f"others may read it: chmod 600 {path}"
            )
        elif name == "cert_file":
            yield _certificate(path, gateway)
        else:
            yield Finding(f"uplink.{name}", good=True, text=str(path))


def _certificate(path: Path, gateway: str) -> Finding:
    now = datetime.now(UTC)
    fault = certificate.fault(path, gateway, now)
    if fault is not None:
        return Finding(
            "uplink.cert_file", good=False, text=fault.removeprefix("uplink.cert_file: ")
        )
    end = certificate.read(path).valid_to
    if end - now < _RENEW_BEFORE:
        text = f"{path} expires on {end:%Y-%m-%d}: get a new one from your authority"
        return Finding("uplink.cert_file", good=False, text=text)
    return Finding("uplink.cert_file", good=True, text=f"{path}, valid until {end:%Y-%m-%d}")


def _broker(uplink: UplinkSettings, gateway: str) -> Finding:
    place = f"{uplink.host}:{uplink.port}"
    try:
        with (
            socket.create_connection((uplink.host, uplink.port), uplink.connect_timeout_s) as plain,
            tls.context(uplink).wrap_socket(plain, server_hostname=uplink.host) as secure,
        ):
            _await_refusal(secure)
            return Finding("broker", good=True, text=f"{place} answers with {secure.version()}")
    except ConfigError:
        return Finding("broker", good=False, text=f"{place}: not tried, its files are not in order")
    except (OSError, ValueError) as error:
        return Finding(
            "broker", good=False, text=f"{place}: {tls.explained(error, uplink, gateway)}"
        )


def _await_refusal(secure: ssl.SSLSocket) -> None:
    """With TLS 1.3 a refused certificate shows only in what comes after the handshake."""
    secure.settimeout(_REFUSAL_S)
    try:
        if not secure.recv(1):
            raise ConnectionResetError(errno.ECONNRESET, "the broker closed the connection")
    except TimeoutError:
        return  # it waits for our first message: we are in


def _devices(settings: Settings, listed: Settings) -> Iterator[Finding]:
    has_ble = any(device.identity.startswith("ble:") for device in settings.devices)
    yield from doctor_radios.radios(settings.ble, has_devices=has_ble)
    for device in settings.devices:
        if device.port is not None:
            yield _port(device.identity, Path(device.port))
        enrolled = settings.data_dir / register.FILE_NAME
        source = Path("edge.toml") if device in listed.devices else enrolled
        yield from doctor_keys.key_files(device, source, settings.data_dir)


def _port(identity: str, port: Path) -> Finding:
    if not port.exists():
        return Finding(identity, good=False, text=f"{port} is not there: is it plugged in?")
    if not os.access(port, os.R_OK | os.W_OK):
        return Finding(identity, good=False, text=f"no access to {port}: join group dialout")
    if not str(port).startswith("/dev/serial/by-"):
        return Finding(
            identity, good=True, text=f"{port}; /dev/serial/by-id/... is stable, this is not"
        )
    return Finding(identity, good=True, text=str(port))


def _clock() -> Finding:
    reading = kernel_clock()
    if reading is None:
        text = "the kernel's clock is not synchronised; the collector's time will be used"
        return Finding("clock", good=True, text=text)
    return Finding("clock", good=True, text=f"synchronised, error <= {reading} ms")
