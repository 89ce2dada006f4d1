"""What a Bluetooth failure means for us: D-Bus and ATT errors as one small vocabulary. Pure.

Source  BlueZ doc/org.bluez.Device.rst, org.bluez.Adapter.rst, org.bluez.GattCharacteristic.rst
        (error names); BlueZ src/error.c (texts of org.bluez.Error.Failed); Bluetooth Core 5.4,
        vol 3, part F, 3.4.1.1 (ATT error codes)
"""

from enum import Enum, auto

from wardlight_shared.errors import TransportError


class Trouble(Enum):
    """Kinds of failure; each asks for another answer."""

    NO_BUS = auto()  # no system D-Bus, or no access to it
    NO_BLUEZ = auto()  # the bus stands, bluetoothd does not run
    NO_ADAPTER = auto()  # the adapter is not plugged in
    POWERED_OFF = auto()  # the adapter has no power (rfkill, or switched off)
    BUSY = auto()  # BlueZ cannot connect while it scans, or is doing it already
    GONE = auto()  # BlueZ has forgotten the device: wait for its next advertisement
    NO_SLOT = auto()  # the controller has no free connection
    TRANSIENT = auto()  # radio conditions
    TIMEOUT = auto()  # no answer in time
    LOST = auto()  # the link ended during an operation
    NOT_PAIRED = auto()  # the device wants an encrypted link
    PAIRING = auto()  # pairing failed or was refused
    KEY_MISSING = auto()  # one side has lost the key of the bond
    UNUSABLE = auto()  # the device lacks what the profile asks for
    GATT = auto()  # the device answered a request with an error


class BleError(TransportError):
    """A Bluetooth operation failed; ``trouble`` says how to go on.

    att_code  the ATT error the device answered with; None = it did not answer with one
    """

    def __init__(self, trouble: Trouble, message: str, att_code: int | None = None) -> None:
        super().__init__(message)
        self.trouble = trouble
        self.att_code = att_code


_BY_NAME = {
    "org.bluez.Error.InProgress": Trouble.BUSY,
    "org.bluez.Error.NotReady": Trouble.POWERED_OFF,
    "org.bluez.Error.DoesNotExist": Trouble.GONE,
    "org.bluez.Error.NotConnected": Trouble.LOST,
    "org.bluez.Error.AuthenticationFailed": Trouble.PAIRING,
    "org.bluez.Error.AuthenticationRejected": Trouble.PAIRING,
    "org.bluez.Error.AuthenticationCanceled": Trouble.PAIRING,
    "org.bluez.Error.AuthenticationTimeout": Trouble.PAIRING,
    "org.bluez.Error.ConnectionAttemptFailed": Trouble.TRANSIENT,
    "org.freedesktop.DBus.Error.ServiceUnknown": Trouble.NO_BLUEZ,
    "org.freedesktop.DBus.Error.NameHasNoOwner": Trouble.NO_BLUEZ,
    "org.freedesktop.DBus.Error.UnknownObject": Trouble.GONE,
    "org.freedesktop.DBus.Error.NoReply": Trouble.TIMEOUT,
    "org.freedesktop.DBus.Error.AccessDenied": Trouble.NO_BUS,
}

# Parts of the texts of org.bluez.Error.Failed and of errors without a name, in order of rank.
_BY_TEXT = (
    ("key-missing", Trouble.KEY_MISSING),
    ("Not paired", Trouble.NOT_PAIRED),
    ("device disconnected", Trouble.LOST),
    ("Not connected", Trouble.LOST),
    ("Not Connected", Trouble.LOST),
    ("connection slot", Trouble.NO_SLOT),
    ("le-connection-", Trouble.TRANSIENT),
    ("br-connection-", Trouble.TRANSIENT),
    ("Software caused connection abort", Trouble.TRANSIENT),
    ("adapter '", Trouble.NO_ADAPTER),
    ("not found", Trouble.GONE),
)

# Insufficient authentication, key size, encryption: the link must be encrypted first.
_ATT_NOT_PAIRED = frozenset({0x05, 0x0C, 0x0F})


def trouble_of_dbus(name: str, text: str) -> Trouble:
    """Trouble of a D-Bus error by its name and first argument."""
    known = _BY_NAME.get(name)
    return known if known is not None else trouble_of_text(text)


def trouble_of_text(text: str) -> Trouble:
    """Trouble of an error that has a text only."""
    return next((trouble for part, trouble in _BY_TEXT if part in text), Trouble.GATT)


def trouble_of_att(code: int) -> Trouble:
    """Trouble of an ATT error code."""
    return Trouble.NOT_PAIRED if code in _ATT_NOT_PAIRED else Trouble.GATT
