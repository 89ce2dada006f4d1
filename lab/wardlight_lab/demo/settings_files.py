"""Writes the demo's settings files: the gateway's edge.toml and the cloud's cloud.toml.

Texts are put in as TOML basic strings, so that a path with spaces or quotes does no harm.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from wardlight_cloud.private_file import write_private
from wardlight_cloud.security.ca import Credentials
from wardlight_lab.demo.ward import MRN_SYSTEM, DemoDevice

PROFILES: Final = Path(__file__).parents[3] / "firmware-configs"


def _text(value: object) -> str:
    # A JSON string is a TOML basic string (TOML 1.0, "String").
    return json.dumps(str(value), ensure_ascii=False)


def gateway_settings(
    gateway: str,
    mqtt_port: int,
    credentials: Credentials,
    devices: Sequence[DemoDevice],
    adapters: Sequence[str],
    profiles: Path = PROFILES,
    hl7_port: int | None = None,
    dicom_port: int | None = None,
) -> str:
    """Text of edge.toml; ``hl7_port`` None = no HL7 port, ``dicom_port`` None = no imaging."""
    lines = [
        f"gateway = {_text(gateway)}",
        'data_dir = "data"',
        f"profiles_dir = {_text(profiles)}",
        "health_s = 30",
        "[uplink]",
        'host = "127.0.0.1"',
        f"port = {mqtt_port}",
        *_credentials(credentials),
        "[ble]",
        f"adapters = [{', '.join(map(_text, adapters))}]",
        "max_links = 12",
        "[status]",
        "port = 0",
        "[log]",
        'format = "json"',
    ]
    if hl7_port is not None:
        lines += ["[lan.hl7]", f"port = {hl7_port}"]
    if dicom_port is not None:
        lines += ["[dicom]", f"port = {dicom_port}", "admit_loopback = true"]
    for device in devices:
        if device.identity.startswith("lan:"):
            continue  # it connects by itself
        lines += ["[[device]]", f"identity = {_text(device.identity)}"]
        lines.append(f"profile = {_text(device.profile)}")
        if device.port is not None:
            lines.append(f"port = {_text(device.port)}")
        if device.bind_key_file is not None:
            lines.append(f"bind_key_file = {_text(device.bind_key_file)}")
        if device.file is not None:
            lines += [f"file = {_text(device.file)}", f"speed = {device.speed}"]
    return "\n".join(lines) + "\n"


def _credentials(credentials: Credentials) -> list[str]:
    return [
        f"ca_file = {_text(credentials.authority)}",
        f"cert_file = {_text(credentials.certificate)}",
        f"key_file = {_text(credentials.key)}",
    ]


def cloud_settings(
    collector: str,
    data_dir: Path,
    dsn: str,
    mqtt_port: int,
    http_port: int,
    credentials: Credentials,
    query_port: int | None = None,
) -> str:
    """Text of cloud.toml; ``query_port`` None = as the settings have it."""
    lines = [
        f"data_dir = {_text(data_dir)}",
        "[database]",
        f"dsn = {_text(dsn)}",
        "[broker]",
        'host = "127.0.0.1"',
        f"port = {mqtt_port}",
        *_credentials(credentials),
        "[collector]",
        f"name = {_text(collector)}",
        "[http]",
        f"port = {http_port}",
        *([] if query_port is None else ["[dicom]", f"port = {query_port}"]),
        "[images]",
        f"issuer = {_text(MRN_SYSTEM)}",
        "[log]",
        'format = "json"',
    ]
    return "\n".join(lines) + "\n"


def write(file: Path, text: str) -> None:
    """Write a settings file, private."""
    write_private(file, text)
