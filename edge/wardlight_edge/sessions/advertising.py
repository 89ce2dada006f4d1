"""Devices that are only listened to: which these are, and what takes their adverts."""

from wardlight_edge import devices
from wardlight_edge.config import DeviceSettings
from wardlight_edge.devices import AdvertReceiver
from wardlight_edge.sessions import bind_key
from wardlight_edge.sessions.decoding import options_of
from wardlight_shared.errors import ConfigError
from wardlight_shared.profile import Profile


def is_advertising(device: DeviceSettings, profile: Profile) -> bool:
    """Whether the device is listened to."""
    return profile.transport.adverts is not None and device.identity.startswith("ble:")


def check_adverts(device: DeviceSettings, profile: Profile) -> None:
    """ConfigError: a profile that does not fit."""
    if is_advertising(device, profile):
        if profile.stream is not None:
            raise ConfigError(f"device {device.identity}: what advertises has no [stream]")
        _receiver(device, profile, None, b"")
    elif device.bind_key_file is not None:
        raise ConfigError(
            f"device {device.identity}: its profile has no [transport.adverts]: leave out "
            "bind_key_file"
        )


def receiver_of(device: DeviceSettings, profile: Profile, memory: bytes) -> AdvertReceiver:
    """What takes its adverts, with the memory of before. PrivateFileError: no key can be used."""
    key = None if device.bind_key_file is None else bind_key.read(device.bind_key_file)
    return _receiver(device, profile, key, memory)


def _receiver(
    device: DeviceSettings, profile: Profile, key: bytes | None, memory: bytes
) -> AdvertReceiver:
    address = bytes.fromhex(device.identity.removeprefix("ble:"))
    options = options_of(profile)
    return devices.load_advert(profile.decoder).receiver(address, key, memory, options)
