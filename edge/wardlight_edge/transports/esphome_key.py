"""The key of an ESPHome proxy's native API, and whether the extra that speaks it is there.

Neither needs the extra: both are looked at when the gateway starts.

In      a file of mode 0600 with the text after ``key:`` of the proxy's ``api: encryption:``
Errors  ConfigError: what and what to do
"""

import base64
import binascii
import stat
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from wardlight_edge.config import BleSettings
from wardlight_shared.errors import ConfigError

KEY_BYTES: Final = 32
_NEEDED: Final = ("aioesphomeapi", "bleak_esphome")
# Group read stays allowed: systemd shows the access list of a credential as group bits.
_FORBIDDEN: Final = stat.S_IRWXO | stat.S_IWGRP | stat.S_IXGRP


def check_proxies(settings: BleSettings) -> None:
    """ConfigError unless the proxies of the settings can be spoken with."""
    if settings.enabled and settings.proxies:
        check_installed()
        for proxy in settings.proxies:
            read_key(proxy.noise_key_file)


def check_installed() -> None:
    """ConfigError unless the packages of the extra are installed; nothing is imported."""
    if any(find_spec(name) is None for name in _NEEDED):
        raise ConfigError(
            "ble.proxy: ESPHome proxies need the extra 'esphome', which is not installed; run "
            "pip install 'bleak-esphome>=4.1' in the gateway's environment (docs/operations.md "
            "tells what licences come with it), or remove [[ble.proxy]]"
        )


def read_key(path: Path) -> str:
    """Return the key as its base64 text."""
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: the key of the proxy cannot be read ({error})") from error
    if mode & _FORBIDDEN:
        raise ConfigError(f"{path}: others may use the key of the proxy; run: chmod 600 {path}")
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise ConfigError(
            f"{path}: not the key of a proxy; it is the 44 characters after key: in the part "
            "api: encryption: of the proxy's configuration"
        )
    return text
