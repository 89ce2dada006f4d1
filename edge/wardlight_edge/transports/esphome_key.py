"""The key of an ESPHome proxy's native API, and whether the extra that speaks it is there.

Neither needs the extra. The key is read for each connection: a file that is wrong keeps one proxy
out until it is right.

In      the text after ``key:`` of the proxy's ``api: encryption:`` in a file that only this account
        may use (secret_file.py)
Errors  ConfigError: what and what to do; PrivateFileError of the file
"""

import base64
import binascii
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from wardlight_edge import secret_file
from wardlight_edge.config import BleSettings
from wardlight_edge.secret_file import PrivateFileError
from wardlight_shared.errors import ConfigError

KEY_BYTES: Final = 32
_NEEDED: Final = ("aioesphomeapi", "bleak_esphome")


def check_proxies(settings: BleSettings) -> None:
    """ConfigError unless what speaks with the proxies of the settings is installed."""
    if settings.enabled and settings.proxies:
        check_installed()


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
    text = secret_file.read(path, "the key of the proxy")
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise PrivateFileError(
            f"{path}: not the key of a proxy; it is the 44 characters after key: in the part "
            "api: encryption: of the proxy's configuration"
        )
    return text
