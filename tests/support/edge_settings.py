"""Settings of a gateway under test: devices, short waits, no uplink."""

from pathlib import Path

from wardlight_edge.config import BleSettings, DeviceSettings, Settings, UplinkSettings


def settings_for(
    folder: Path, *devices: DeviceSettings, ble: BleSettings | None = None
) -> Settings:
    """Settings with these devices; the uplink is never used."""
    nowhere = folder / "none"
    return Settings(
        gateway="gw-test",
        data_dir=folder,
        profiles_dir=folder,
        uplink=UplinkSettings(
            host="127.0.0.1", ca_file=nowhere, cert_file=nowhere, key_file=nowhere
        ),
        ble=ble or BleSettings(connect_timeout_s=5.0),
        devices=devices,
    )
