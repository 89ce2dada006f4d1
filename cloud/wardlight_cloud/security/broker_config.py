"""The configuration of the broker itself, for nats-server and for mosquitto, as pure text.

Only TLS 1.2 or newer, only with a certificate of our authority, only where it is told to listen.
The permissions are a file of their own, which changes while the broker runs.
Source: NATS documentation, "Configuration"; mosquitto.conf(5).
"""

from dataclasses import dataclass
from pathlib import Path

from wardlight_cloud.security.ca import Credentials

# A chunk of an image (256 KiB) with its header, its topic and MQTT's framing.
LARGEST_MESSAGE_BYTES = 512 * 1024
_MIB = 1024 * 1024
_LEAST_STORE_MIB = 1024
# Well above one gateway's window (16 batches of 64 KiB): a full store throws out live traffic too.
_STORE_MIB_OF_A_GATEWAY = 4


@dataclass(frozen=True)
class BrokerSettings:
    """Where a broker listens, what it proves itself with, and where its files are."""

    port: int
    credentials: Credentials
    permissions_file: Path
    pid_file: Path
    store_folder: Path
    host: str = "127.0.0.1"
    gateways: int = 100

    @property
    def store_bytes(self) -> int:
        """The bound of what may wait on the broker's disk."""
        return max(_LEAST_STORE_MIB, self.gateways * _STORE_MIB_OF_A_GATEWAY) * _MIB


def nats_config(settings: BrokerSettings) -> str:
    """The main file of nats-server; includes the permissions.

    The listener for NATS's own protocol cannot be left out. It gets a random port of the loopback,
    asks for the same certificates, and lets nobody in, for users may connect by MQTT alone.
    """
    tls = _nats_tls(settings.credentials)
    return (
        'server_name: "wardlight"\n'
        "host: 127.0.0.1\n"
        "port: -1\n"
        f"max_payload: {LARGEST_MESSAGE_BYTES}\n"
        f"pid_file: {_nats_text(settings.pid_file)}\n"
        f"jetstream {{ store_dir: {_nats_text(settings.store_folder)}, max_mem: {64 * _MIB}, "
        f"max_file: {settings.store_bytes} }}\n"
        f"tls {tls}\n"
        f"mqtt {{\n  host: {_nats_text(settings.host)}\n  port: {settings.port}\n  tls {tls}\n}}\n"
        f"include {_nats_text(settings.permissions_file.name)}\n"
    )


def mosquitto_config(settings: BrokerSettings, *, user: str) -> str:
    """The main file of mosquitto, which keeps running as `user` when root starts it.

    Beware: mosquitto 2.0 that is told to read a missing or broken `acl_file` again lets every
    client do everything from then on. Check the file first (broker_reload does).
    """
    credentials = settings.credentials
    return (
        f"user {user}\n"
        f"pid_file {settings.pid_file}\n"
        "per_listener_settings false\n"
        "allow_anonymous false\n"
        "persistence false\n"
        f"acl_file {settings.permissions_file}\n"
        "max_inflight_messages 64\n"
        # Beyond the queue mosquitto drops what it has acknowledged.
        "max_queued_messages 100000\n"
        f"max_queued_bytes {256 * _MIB}\n"
        f"max_packet_size {LARGEST_MESSAGE_BYTES}\n"
        "log_dest stderr\n"
        "log_type error\n"
        "log_type warning\n"
        "log_type notice\n"
        f"listener {settings.port} {settings.host}\n"
        f"cafile {credentials.authority}\n"
        f"certfile {credentials.certificate}\n"
        f"keyfile {credentials.key}\n"
        # mosquitto 2 offers TLS 1.2 and 1.3 when no version is named.
        "require_certificate true\n"
        "use_identity_as_username true\n"
        "use_username_as_clientid true\n"
    )


def _nats_tls(credentials: Credentials) -> str:
    return (
        f"{{ cert_file: {_nats_text(credentials.certificate)}, "
        f"key_file: {_nats_text(credentials.key)}, ca_file: {_nats_text(credentials.authority)}, "
        'verify_and_map: true, min_version: "1.2", timeout: 20 }'
    )


def _nats_text(value: object) -> str:
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
