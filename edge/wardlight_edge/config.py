"""The edge's settings: one TOML file, secrets by file or environment, one typed object.

docs/settings.md names every key (a test holds it equal). Nothing reads the environment later.

Errors  ConfigError: file, key and what to do
"""

import os
import tomllib
from collections.abc import Mapping, Sequence
from datetime import date
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from wardlight_edge import imaging_settings
from wardlight_edge.imaging_settings import DicomSettings
from wardlight_shared.errors import ConfigError
from wardlight_shared.topics import is_gateway_id

_Port = Annotated[int, Meta(ge=0, le=65535)]
_Seconds = Annotated[float, Meta(gt=0, le=86_400)]
_Bytes = Annotated[int, Meta(ge=0)]
_Host = Annotated[str, Meta(pattern=r"\A\S+\Z")]


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class UplinkSettings(_Strict, frozen=True, kw_only=True):
    """The way to the broker. TLS with a client certificate always; its CN is the gateway id.

    images          how images go up: over the broker, or over HTTPS where a site lets that out
    images_url      https: address of the cloud, as https://wardlight.example
    images_ca_file  https: CA that signed its certificate; ``ca_file`` when not given
    """

    host: _Host
    port: _Port = 8883
    ca_file: Path
    cert_file: Path
    key_file: Path
    keepalive_s: Annotated[int, Meta(ge=5, le=3600)] = 60
    connect_timeout_s: _Seconds = 15.0
    ack_timeout_s: _Seconds = 10.0
    resend_max_s: _Seconds = 300.0
    window: Annotated[int, Meta(ge=1, le=16)] = 16
    live_age_s: _Seconds = 60.0
    backfill_floor: Annotated[float, Meta(ge=0.1, le=1.0)] = 0.1
    images: Literal["mqtt", "https"] = "mqtt"
    images_url: Annotated[str, Meta(pattern=r"\Ahttps://[^\s/]+(/\S*)?\Z")] | None = None
    images_ca_file: Path | None = None


class OutboxSettings(_Strict, frozen=True, kw_only=True):
    """The durable queue. ``min_free_bytes`` of the disk are left to the system."""

    quota_bytes: Annotated[int, Meta(ge=1 << 20)] = 1 << 30
    min_free_bytes: _Bytes = 200 << 20
    reserve_bytes: _Bytes = 8 << 20
    linger_ms: Annotated[int, Meta(ge=0, le=1000)] = 20


class ProxySettings(_Strict, frozen=True, kw_only=True):
    """An ESPHome Bluetooth proxy: a radio in another room, reached over the network.

    noise_key_file  the ``api`` encryption key of its configuration, 44 characters of base64, mode
                    0600; without encryption measured values would cross the network in the clear
    max_links       links at a time, of those the proxy has
    """

    name: Annotated[str, Meta(pattern=r"\A[a-z0-9][a-z0-9-]{0,31}\Z")]
    host: _Host
    port: Annotated[int, Meta(ge=1, le=65535)] = 6053
    noise_key_file: Path
    max_links: Annotated[int, Meta(ge=1, le=32)] = 3


class BleSettings(_Strict, frozen=True, kw_only=True, rename={"proxies": "proxy"}):
    """The radios. ``adapters`` are BlueZ names; none is chosen by itself."""

    enabled: bool = True
    adapters: tuple[str, ...] = ("hci0",)
    connect_timeout_s: _Seconds = 20.0
    silent_scan_s: _Seconds = 90.0
    max_links: Annotated[int, Meta(ge=1, le=32)] = 4
    proxies: tuple[ProxySettings, ...] = ()


class UserSettings(_Strict, frozen=True, kw_only=True):
    """A person whose values a scale gives after consent.

    index              the user's number on the device; 255 is nobody
    consent_code_file  the code the person chose, 1 to 4 digits, mode 0600
    """

    index: Annotated[int, Meta(ge=0, le=254)]
    consent_code_file: Path


class DeviceSettings(_Strict, frozen=True, kw_only=True):
    """One enrolled device.

    identity       ``ble:<12 hex capitals>``, ``serial:<name>`` or ``replay:<name>``
    profile        name of a file in ``profiles_dir`` without .toml
    port           serial: a stable path (/dev/serial/by-id/..., by-path/...)
    file           replay: a capture
    speed          replay: 1.0 = as recorded, 0 = as fast as accepted
    serial_number  BLE: what Device Information must say (docs/decisions/010)
    bind           BLE: "first-use" = no serial number is known yet, the device is not visited until
                   an operator opens a window in which it is read and kept; only ``devices add``
                   writes it
    bind_key_file  BLE: file with the key of a device that encrypts its advertisements, mode 0600
    calibration_due  day by which the device must be calibrated anew
    users          BLE: whose values to ask for, where the device gives them after consent only
    """

    identity: Annotated[
        str, Meta(pattern=r"\A(ble:[0-9A-F]{12}|(serial|lan|replay):[\w.-]{1,64})\Z")
    ]
    profile: Annotated[str, Meta(pattern=r"\A[a-z0-9][a-z0-9-]*\Z")]
    port: str | None = None
    file: Path | None = None
    speed: Annotated[float, Meta(ge=0)] = 1.0
    serial_number: str | None = None
    bind: Literal["address", "first-use"] = "address"
    bind_key_file: Path | None = None
    calibration_due: date | None = None
    users: Annotated[tuple[UserSettings, ...], Meta(max_length=32)] = ()


class LanSettings(_Strict, frozen=True, kw_only=True):
    """One port that devices connect to. What connects is not authenticated: keep ``host`` local,
    or on a network of devices only, and name them in ``peers``.

    peers             addresses or networks that may connect; () = all that can reach the port
    max_connections   at a time; ``max_per_peer`` of them from one address
    message_timeout_s a message that has begun must end within this
    write_timeout_s   a peer that does not read its answers for this long is hung up
    accept_timeout_s  a message that is not stored by then is refused, to be sent again
    """

    host: _Host = "127.0.0.1"
    port: _Port
    profile: Annotated[str, Meta(pattern=r"\A[a-z0-9][a-z0-9-]*\Z")]
    peers: tuple[str, ...] = ()
    max_connections: Annotated[int, Meta(ge=1, le=1024)] = 32
    max_per_peer: Annotated[int, Meta(ge=1, le=1024)] = 8
    max_message_bytes: Annotated[int, Meta(ge=1024, le=16 << 20)] = 1 << 20
    message_timeout_s: _Seconds = 30.0
    write_timeout_s: _Seconds = 10.0
    accept_timeout_s: _Seconds = 10.0


class Hl7Settings(LanSettings, frozen=True, kw_only=True):
    """HL7 v2 over MLLP.

    patient_key_file  secret that turns patient identifiers into keys; gateways that share it give
                      a patient the same key; made in ``data_dir`` when not given
    """

    port: _Port = 2575
    profile: Annotated[str, Meta(pattern=r"\A[a-z0-9][a-z0-9-]*\Z")] = "generic-hl7-oru"
    patient_key_file: Path | None = None


class ApduSettings(LanSettings, frozen=True, kw_only=True):
    """ISO/IEEE 11073-20601 agents over TCP."""

    port: _Port = 6024
    profile: Annotated[str, Meta(pattern=r"\A[a-z0-9][a-z0-9-]*\Z")] = "generic-20601"


class LanSection(_Strict, frozen=True, kw_only=True):
    """Ports that devices connect to; one that is not named is not opened."""

    hl7: Hl7Settings | None = None
    apdu: ApduSettings | None = None


class StatusSettings(_Strict, frozen=True, kw_only=True):
    """The local status page. ``port`` 0 takes a free one, written to ``data_dir``/status.port."""

    host: Literal["127.0.0.1", "::1"] = "127.0.0.1"
    port: _Port = 8790


class LogSettings(_Strict, frozen=True, kw_only=True):
    """Logging to stderr."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


class Settings(_Strict, frozen=True, kw_only=True, rename={"devices": "device"}):
    """All settings of a gateway.

    gateway       gateway id: 3 to 32 of a-z, 0-9, '-'; equals the certificate's CN
    data_dir      outbox, state; made with mode 0700
    profiles_dir  folder of device profiles (firmware-configs)
    key_file      32 random bytes as 64 hex digits, mode 0600; made in ``data_dir`` when not given
    health_s      seconds between health records
    """

    gateway: str
    data_dir: Path
    profiles_dir: Path
    key_file: Path | None = None
    health_s: _Seconds = 60.0
    uplink: UplinkSettings
    outbox: OutboxSettings = OutboxSettings()
    ble: BleSettings = BleSettings()
    lan: LanSection = LanSection()
    dicom: DicomSettings = DicomSettings()
    status: StatusSettings = StatusSettings()
    log: LogSettings = LogSettings()
    devices: tuple[DeviceSettings, ...] = ()


def profile_names(settings: Settings) -> set[str]:
    """Every profile the settings name."""
    ports = (settings.lan.hl7, settings.lan.apdu)
    named = {device.profile for device in settings.devices}
    return named | {port.profile for port in ports if port is not None}


def load(path: Path, environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings file; relative paths in it are relative to its folder.

    ``WARDLIGHT_KEY_FILE`` in the environment replaces ``key_file`` (systemd credentials).
    """
    environment = os.environ if environment is None else environment
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read ({error.strerror}); give --config FILE"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 (byte {error.start}); give --config FILE") from error
    settings = parse(text, source=str(path), folder=path.parent)
    waiting = [each.identity for each in settings.devices if each.bind == "first-use"]
    if waiting:
        raise ConfigError(
            f'{path}: device {waiting[0]}: bind = "first-use" is for devices that '
            "`wardlight-edge devices add` enrols; give its serial_number here, or leave out bind"
        )
    key_file = environment.get("WARDLIGHT_KEY_FILE")
    return msgspec.structs.replace(settings, key_file=Path(key_file)) if key_file else settings


def parse(text: str, *, source: str, folder: Path) -> Settings:
    """Parse settings; ``source`` stands in errors, relative paths resolve against ``folder``."""
    settings = _converted(text, Settings, source, folder)
    _check(settings, source)
    return settings


class _Enrolled(_Strict, frozen=True, rename={"devices": "device"}):
    devices: tuple[DeviceSettings, ...] = ()


def parse_devices(text: str, *, source: str, folder: Path) -> tuple[DeviceSettings, ...]:
    """Parse a file that holds [[device]] sections and nothing else."""
    devices = _converted(text, _Enrolled, source, folder).devices
    check_devices(devices, source)
    return devices


_T = TypeVar("_T")


def _converted(text: str, kind: type[_T], source: str, folder: Path) -> _T:
    def path_hook(type_: type, value: object) -> object:
        if type_ is Path and isinstance(value, str):
            return folder / Path(value).expanduser()
        raise TypeError(f"expected text, got {type(value).__name__}")

    try:
        return msgspec.convert(tomllib.loads(text), kind, dec_hook=path_hook)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ConfigError(f"{source}: {error}; docs/settings.md lists the keys") from error


def _check(settings: Settings, source: str) -> None:
    if not is_gateway_id(settings.gateway):
        raise ConfigError(f"{source}: gateway: 3 to 32 of a-z, 0-9 and '-' are allowed")
    check_devices(settings.devices, source)
    if settings.uplink.images == "https" and settings.uplink.images_url is None:
        raise ConfigError(f'{source}: uplink.images = "https" needs uplink.images_url')
    _check_peers(settings, source)
    imaging_settings.check(settings.dicom, source)
    proxies = [proxy.name for proxy in settings.ble.proxies]
    if len(set(proxies)) < len(proxies):
        raise ConfigError(f"{source}: two of ble.proxy have one name")


def check_devices(devices: Sequence[DeviceSettings], source: str) -> None:
    """What one section cannot say of itself. ConfigError names ``source`` and the device."""
    identities = [device.identity for device in devices]
    twice = {identity for identity in identities if identities.count(identity) > 1}
    if twice:
        raise ConfigError(f"{source}: device {sorted(twice)[0]} is listed twice")
    ports: dict[str, str] = {}
    for device in devices:
        first = None if device.port is None else ports.setdefault(device.port, device.identity)
        if first not in (None, device.identity):
            raise ConfigError(
                f"{source}: device {device.identity} has the port of {first}, {device.port}: "
                "one device on a port"
            )
        problem = _problem(device)
        if problem is not None:
            raise ConfigError(f"{source}: device {device.identity} {problem}")


def _problem(device: DeviceSettings) -> str | None:
    kind = device.identity.partition(":")[0]
    if kind == "lan":
        return "is not listed: lan devices connect to a port of [lan]"
    needed = {"serial": ("port", device.port), "replay": ("file", device.file)}
    if kind in needed and needed[kind][1] is None:
        return f"needs the key {needed[kind][0]!r}"
    if device.bind == "first-use" and (kind != "ble" or device.serial_number is not None):
        return "is no Bluetooth device without serial_number: leave out bind"
    indexes = [user.index for user in device.users]
    return "lists a user twice" if len(set(indexes)) < len(indexes) else None


def _check_peers(settings: Settings, source: str) -> None:
    for name in ("hl7", "apdu"):
        port: LanSettings | None = getattr(settings.lan, name)
        for peer in () if port is None else port.peers:
            try:
                ip_network(peer)
            except ValueError as error:
                raise ConfigError(
                    f"{source}: lan.{name}.peers: {peer!r} is no address and no network"
                ) from error
