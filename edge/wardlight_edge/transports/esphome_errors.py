"""What aioesphomeapi and bleak-esphome raise, as BleError.

Source  aioesphomeapi 46.23 core.py; ESPHome bluetooth_connection.cpp (ATT codes are passed on)
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from aioesphomeapi.core import (
    APIConnectionError,
    BluetoothConnectionDroppedError,
    BluetoothGATTAPIError,
    EncryptionPlaintextAPIError,
    InvalidEncryptionKeyAPIError,
    ResolveAPIError,
)
from bleak.exc import BleakError

from wardlight_edge.config import ProxySettings
from wardlight_edge.secret_file import PrivateFileError
from wardlight_edge.transports.ble_errors import BleError, Trouble, trouble_of_att

_LINK_ENDED: Final = -1  # what a proxy answers for a device that is not connected any more


@contextmanager
def as_open_error(settings: ProxySettings) -> Iterator[None]:
    """Say why a proxy cannot be used; the name of the proxy goes before it."""
    place = f"{settings.host}:{settings.port}"
    try:
        yield
    except PrivateFileError as error:
        raise BleError(Trouble.NO_ADAPTER, str(error)) from error
    except InvalidEncryptionKeyAPIError as error:
        text = f"refuses the key in {settings.noise_key_file}"
        raise BleError(Trouble.NO_ADAPTER, text) from error
    except EncryptionPlaintextAPIError as error:
        text = f"{place} speaks without encryption: give its api an encryption key"
        raise BleError(Trouble.NO_ADAPTER, text) from error
    except ResolveAPIError as error:
        raise BleError(Trouble.NO_ADAPTER, f"{settings.host} has no address") from error
    except (APIConnectionError, TimeoutError, OSError) as error:
        raise BleError(Trouble.NO_ADAPTER, f"cannot be reached at {place}") from error


@contextmanager
def as_ble_error(what: str, otherwise: Trouble = Trouble.LOST) -> Iterator[None]:
    """Turn what the two libraries raise into BleError; ``otherwise`` is what says no more."""
    try:
        yield
    except TimeoutError as error:
        raise BleError(Trouble.TIMEOUT, f"{what}: no answer in time") from error
    except (BleakError, APIConnectionError) as error:
        raise _ble_error(what, error, otherwise) from error
    except (AttributeError, AssertionError, KeyError, ValueError) as error:
        # An answer that does not fit, or a link that vanished in the middle of an operation.
        text = f"{what}: the proxy's answer is of no use ({type(error).__name__})"
        raise BleError(otherwise, text) from error


def _ble_error(what: str, error: Exception, otherwise: Trouble) -> BleError:
    cause = error.__cause__ if isinstance(error, BleakError) and error.__cause__ else error
    if isinstance(cause, BluetoothGATTAPIError) and cause.error.error != _LINK_ENDED:
        code = int(cause.error.error)
        return BleError(trouble_of_att(code), f"{what}: ATT error {code:#04x}", code)
    if isinstance(cause, BluetoothConnectionDroppedError | BluetoothGATTAPIError):
        return BleError(Trouble.LOST, f"{what}: the link ended")
    if isinstance(cause, APIConnectionError):
        return BleError(Trouble.LOST, f"{what}: the proxy is away")
    return BleError(otherwise, f"{what}: {str(error).rpartition(': ')[2]}")
