"""Whether a device can be run with its profile: asked before it is enrolled, and at the start.

Errors  ConfigError: what does not fit; PrivateFileError: its own file that cannot be used
"""

from wardlight_edge import devices
from wardlight_edge.config import DeviceSettings
from wardlight_edge.sessions import bind_key
from wardlight_edge.sessions.advertising import check_adverts
from wardlight_edge.sessions.consent_codes import check_users, consents_of
from wardlight_edge.sessions.decoding import decoding_of
from wardlight_shared.errors import ConfigError
from wardlight_shared.profile import Profile


def check_device(device: DeviceSettings, profile: Profile) -> None:
    """The decoder is there and takes the profile's options, and the ways to the device agree."""
    if devices.is_conversing(profile.decoder):
        devices.load_conversing(profile.decoder).conversation(profile.options)
    else:
        decoding_of(profile)
    _check_settled(device, profile)
    check_users(device, profile)
    check_adverts(device, profile)
    kind = device.identity.partition(":")[0]
    ble = profile.transport.ble or profile.transport.adverts
    needed = {"ble": ble, "serial": profile.transport.serial, "replay": True}
    if kind not in needed:
        raise ConfigError(f"device {device.identity}: {kind} devices are not supported yet")
    if needed[kind] is None:
        raise ConfigError(
            f"device {device.identity}: profile {device.profile!r} has no [transport.{kind}]"
        )


def _check_settled(device: DeviceSettings, profile: Profile) -> None:
    """What a device shows before its measurement has settled is no result to subscribe."""
    ble = profile.transport.ble
    subscribed = () if ble is None else (*ble.indicate, *ble.notify)
    early = sorted(devices.provisional(profile.decoder).intersection(subscribed))
    if early:
        raise ConfigError(
            f"device {device.identity}: profile {device.profile!r} subscribes {early[0]}, which "
            "shows a measurement before it has settled; take it out of [transport.ble]"
        )


def check_files(device: DeviceSettings) -> None:
    """Its bind key and its users' consent codes can be read."""
    if device.bind_key_file is not None:
        bind_key.read(device.bind_key_file)
    consents_of(device)
