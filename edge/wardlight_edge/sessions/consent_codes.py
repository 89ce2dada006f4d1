"""The consent codes of a device's users: read from the files that the settings name.

In      a file for each user: 1 to 4 digits, mode 0600, as the person chose them on the device
Out     Consent, in the order of the settings; no code is in a log, a message or an error
Errors  ConfigError: the file and what to do
"""

import re
import stat
from pathlib import Path
from typing import Final

from wardlight_edge import devices
from wardlight_edge.config import DeviceSettings
from wardlight_edge.devices import Consent, ConsentingDecoder
from wardlight_shared.errors import ConfigError
from wardlight_shared.profile import Profile

_FORBIDDEN: Final = stat.S_IRWXO | stat.S_IWGRP | stat.S_IXGRP
# Group read stays allowed: systemd shows the access list of a credential as group bits.
_CODE: Final = re.compile(r"[0-9]{1,4}\Z")
_MOST_OCTETS: Final = 16


def consents_of(device: DeviceSettings) -> tuple[Consent, ...]:
    """The users of a device with their codes."""
    return tuple(Consent(user.index, _code(user.consent_code_file)) for user in device.users)


def check_users(device: DeviceSettings, profile: Profile) -> None:
    """Raise ConfigError for users of a device that asks none, and for codes that are none."""
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
    consents_of(device)


def _code(file: Path) -> int:
    try:
        mode = file.stat().st_mode
        with file.open("rb") as stream:
            octets = stream.read(_MOST_OCTETS)
    except OSError as error:
        raise ConfigError(f"{file}: no consent code can be read ({error.strerror})") from error
    if mode & _FORBIDDEN:
        raise ConfigError(f"{file}: others may read the consent code; run: chmod 600 {file}")
    text = octets.decode("ascii", errors="replace").strip()
    if not _CODE.match(text):
        raise ConfigError(f"{file}: a consent code is 1 to 4 digits and nothing else")
    return int(text)
