"""The consent codes of a device's users: read from the files that the settings name.

In      a file for each user that only this account may use (secret_file.py): 1 to 4 digits, as the
        person chose them on the device
Out     Consent, in the order of the settings; no code is in a log, a message or an error
Errors  PrivateFileError: the file and what to do
"""

import re
from pathlib import Path
from typing import Final

from wardlight_edge import devices, secret_file
from wardlight_edge.config import DeviceSettings
from wardlight_edge.devices import Consent, ConsentingDecoder
from wardlight_edge.secret_file import PrivateFileError
from wardlight_shared.errors import ConfigError
from wardlight_shared.profile import Profile

_CODE: Final = re.compile(r"[0-9]{1,4}\Z")


def consents_of(device: DeviceSettings) -> tuple[Consent, ...]:
    """The users of a device with their codes."""
    return tuple(Consent(user.index, _code(user.consent_code_file)) for user in device.users)


def check_users(device: DeviceSettings, profile: Profile) -> None:
    """Raise ConfigError for users of a device that asks none."""
    if not device.users:
        return
    ble = profile.transport.ble
    decoder = devices.load(profile.decoder)
    channels = () if ble is None else (*ble.indicate, *ble.notify)
    if not isinstance(decoder, ConsentingDecoder) or decoder.CONTROL_POINTS.isdisjoint(channels):
        raise ConfigError(
            f"device {device.identity}: profile {device.profile!r} asks no user for consent; "
            "take [[device.users]] out, the user index comes with the values"
        )


def _code(file: Path) -> int:
    text = secret_file.read(file, "the consent code")
    if not _CODE.match(text):
        raise PrivateFileError(f"{file}: a consent code is 1 to 4 digits and nothing else")
    return int(text)
