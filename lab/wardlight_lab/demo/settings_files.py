"""Writes the demo's settings files: the gateway's edge.toml and the cloud's cloud.toml.

Texts are put in as TOML basic strings, so that a path with spaces or quotes does no harm.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from wardlight_lab.demo.folder import COLLECTOR, GATEWAY, DemoFolder, Kept, write_private
from wardlight_lab.demo.ward import DemoDevice

PROFILES: Final = Path(__file__).parents[3] / "firmware-configs"


def _text(value: object) -> str:
    # A JSON string is a TOML basic string (TOML 1.0, "String").
    return json.dumps(str(value), ensure_ascii=False)


def gateway_settings(
    folder: DemoFolder, kept: Kept, devices: Sequence[DemoDevice], adapters: Sequence[str]
) -> str:
    """Text of edge.toml."""
    lines = [
        f"gateway = {_text(GATEWAY)}",
        'data_dir = "data"',
        f"profiles_dir = {_text(PROFILES)}",
        "health_s = 30",
        "[uplink]",
        'host = "127.0.0.1"',
        f"port = {kept.mqtt_port}",
        f"ca_file = {_text(folder.pki / 'ca.pem')}",
        f"cert_file = {_text(folder.pki / f'{GATEWAY}.pem')}",
        f"key_file = {_text(folder.pki / f'{GATEWAY}.key')}",
        "[ble]",
        f"adapters = [{', '.join(map(_text, adapters))}]",
        "max_links = 12",
        "[status]",
        "port = 0",
        "[log]",
        'format = "json"',
    ]
    for device in devices:
        lines += ["[[device]]", f"identity = {_text(device.identity)}"]
        lines.append(f"profile = {_text(device.profile)}")
        if device.port is not None:
            lines.append(f"port = {_text(device.port)}")
        if device.file is not None:
            lines += [f"file = {_text(device.file)}", f"speed = {device.speed}"]
    return "\n".join(lines) + "\n"


def cloud_settings(folder: DemoFolder, kept: Kept, dsn: str) -> str:
    """Text of cloud.toml."""
    lines = [
        f"data_dir = {_text(folder.root)}",
        "[database]",
        f"dsn = {_text(dsn)}",
        "[broker]",
        'host = "127.0.0.1"',
        f"port = {kept.mqtt_port}",
        f"ca_file = {_text(folder.pki / 'ca.pem')}",
        f"cert_file = {_text(folder.pki / f'{COLLECTOR}.pem')}",
        f"key_file = {_text(folder.pki / f'{COLLECTOR}.key')}",
        "[collector]",
        f"name = {_text(COLLECTOR)}",
        "[http]",
        f"port = {kept.http_port}",
        "[log]",
        'format = "json"',
    ]
    return "\n".join(lines) + "\n"


def write(folder: DemoFolder, edge: str, cloud: str) -> None:
    """Write both files."""
    write_private(folder.edge_toml, edge)
    write_private(folder.cloud_toml, cloud)
