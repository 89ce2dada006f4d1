"""Errors of the fake `org.bluez`.

    EmulationError
    ├── DBusDaemonMissingError   the program dbus-daemon is not installed
    ├── BusStartError            dbus-daemon did not come up
    └── LinkLostError            the radio link ended; raised to the emulated device
    ReplyError                   what a D-Bus caller is told (name and text as bluetoothd has them)
    AttError                     an ATT error code given by the emulated device

Source  BlueZ doc/org.bluez.*.rst (error names); Bluetooth Core 5.4, Vol 3, Part F, 3.4.1.1 (ATT
        codes)
"""

from typing import Final

PREFIX: Final = "org.bluez.Error."

READ_NOT_PERMITTED: Final = 0x02
WRITE_NOT_PERMITTED: Final = 0x03
INSUFFICIENT_AUTHENTICATION: Final = 0x05
REQUEST_NOT_SUPPORTED: Final = 0x06
INVALID_OFFSET: Final = 0x07
INSUFFICIENT_AUTHORIZATION: Final = 0x08
INSUFFICIENT_KEY_SIZE: Final = 0x0C
INVALID_LENGTH: Final = 0x0D
INSUFFICIENT_ENCRYPTION: Final = 0x0F


class EmulationError(Exception):
    """Anything that stops the emulation itself."""


class DBusDaemonMissingError(EmulationError):
    """`dbus-daemon` is not installed; `package` is the Debian package that has it."""

    package: Final = "dbus"

    def __init__(self) -> None:
        super().__init__(
            "dbus-daemon is not installed, so Bluetooth devices cannot be emulated: "
            f"apt install {self.package}"
        )


class BusStartError(EmulationError):
    """`dbus-daemon` was started and gave no address in time."""


class LinkLostError(EmulationError):
    """The link to the central ended; what was being sent is not acknowledged.

    is_delivered  None: the value was not sent; else whether a client has seen it all the same
    """

    def __init__(self, text: str, *, is_delivered: bool | None = None) -> None:
        super().__init__(text)
        self.is_delivered = is_delivered


class AttError(Exception):
    """The emulated device refuses an attribute request with an ATT error code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"ATT error 0x{code:02x}")
        self.code = code


class ReplyError(Exception):
    """A D-Bus error reply: a name such as `org.bluez.Error.Failed`, and its text."""

    def __init__(self, name: str, text: str = "") -> None:
        full = name if "." in name else PREFIX + name
        super().__init__(f"{full}: {text}")
        self.name = full
        self.text = text


def failed(text: str) -> ReplyError:
    """`org.bluez.Error.Failed` with the text that bluetoothd gives."""
    return ReplyError("Failed", text)


def in_progress(text: str = "Operation already in progress") -> ReplyError:
    """`org.bluez.Error.InProgress`."""
    return ReplyError("InProgress", text)


def not_connected() -> ReplyError:
    """`org.bluez.Error.NotConnected`."""
    return ReplyError("NotConnected", "Not Connected")


def not_ready() -> ReplyError:
    """`org.bluez.Error.NotReady`: the adapter has no power."""
    return ReplyError("NotReady", "Resource Not Ready")


def does_not_exist() -> ReplyError:
    """`org.bluez.Error.DoesNotExist`."""
    return ReplyError("DoesNotExist", "Does Not Exist")


def unknown_object(path: str) -> ReplyError:
    """The standard error for a path nobody exports."""
    return ReplyError("org.freedesktop.DBus.Error.UnknownObject", f"no object at {path}")


_ATT_REPLIES: Final = {
    READ_NOT_PERMITTED: ("NotPermitted", "Read not permitted"),
    WRITE_NOT_PERMITTED: ("NotPermitted", "Write not permitted"),
    INSUFFICIENT_AUTHENTICATION: ("NotPermitted", "Not paired"),
    INSUFFICIENT_ENCRYPTION: ("NotPermitted", "Not paired"),
    INSUFFICIENT_KEY_SIZE: ("NotPermitted", "Not paired"),
    INVALID_OFFSET: ("InvalidArguments", "Invalid offset"),
    INVALID_LENGTH: ("InvalidArguments", "Invalid Length"),
    INSUFFICIENT_AUTHORIZATION: ("NotAuthorized", "Operation Not Authorized"),
    REQUEST_NOT_SUPPORTED: ("NotSupported", "Operation is not supported"),
}


def reply_for_att(code: int) -> ReplyError:
    """The D-Bus error bluetoothd makes of an ATT error code; 0x80 to 0xFF belong to the profile."""
    name, text = _ATT_REPLIES.get(
        code, ("Failed", f"Operation failed with ATT error: 0x{code:02x}")
    )
    return ReplyError(name, text)
