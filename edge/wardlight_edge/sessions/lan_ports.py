"""Which LAN ports the settings name, and what profile fits one."""

from typing import Final

from wardlight_edge import devices
from wardlight_edge.config import LanSettings, Settings
from wardlight_shared.errors import ConfigError
from wardlight_shared.profile import Profile

PREFIX: Final = "lan:"


def ports_of(settings: Settings) -> dict[str, LanSettings]:
    """The ports of the settings by identity: ``lan:hl7``."""
    named: dict[str, LanSettings | None] = {"hl7": settings.lan.hl7, "apdu": settings.lan.apdu}
    return {f"{PREFIX}{name}": port for name, port in named.items() if port is not None}


def check_port(identity: str, profile: Profile) -> None:
    """Raise ConfigError unless the profile is one of devices that connect."""
    if profile.transport.lan is None:
        raise ConfigError(f"{identity}: its profile has no [transport.lan]")
    devices.load_conversing(profile.decoder).conversation(profile.options)
