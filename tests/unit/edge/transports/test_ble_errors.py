"""What D-Bus and ATT errors mean for us."""

import pytest
from bleak.exc import BleakDBusError, BleakError, BleakGATTProtocolError, BleakGATTProtocolErrorCode
from bleak_retry_connector import BleakAbortedError, BleakConnectionError, BleakNotFoundError

from wardlight_edge.transports import ble, gatt_link
from wardlight_edge.transports.ble_errors import (
    BleError,
    Trouble,
    trouble_of_att,
    trouble_of_dbus,
    trouble_of_text,
)


@pytest.mark.parametrize(
    ("name", "text", "trouble"),
    [
        ("org.bluez.Error.InProgress", "Operation already in progress", Trouble.BUSY),
        ("org.bluez.Error.NotReady", "Resource Not Ready", Trouble.POWERED_OFF),
        ("org.bluez.Error.NotPermitted", "Not paired", Trouble.NOT_PAIRED),
        ("org.bluez.Error.NotPermitted", "Write not permitted", Trouble.GATT),
        ("org.bluez.Error.AuthenticationFailed", "Authentication Failed", Trouble.PAIRING),
        ("org.bluez.Error.AuthenticationRejected", "", Trouble.PAIRING),
        ("org.bluez.Error.Failed", "le-connection-abort-by-local", Trouble.TRANSIENT),
        ("org.bluez.Error.Failed", "br-connection-key-missing", Trouble.KEY_MISSING),
        ("org.bluez.Error.Failed", "Not connected", Trouble.LOST),
        ("org.bluez.Error.Failed", "something new", Trouble.GATT),
        ("org.freedesktop.DBus.Error.UnknownObject", "", Trouble.GONE),
        ("org.freedesktop.DBus.Error.ServiceUnknown", "", Trouble.NO_BLUEZ),
    ],
)
def test_dbus_errors(name: str, text: str, trouble: Trouble) -> None:
    assert trouble_of_dbus(name, text) is trouble


@pytest.mark.parametrize("code", [0x05, 0x0C, 0x0F])
def test_att_errors_that_ask_for_a_bond(code: int) -> None:
    assert trouble_of_att(code) is Trouble.NOT_PAIRED


def test_att_errors_of_an_application() -> None:
    assert trouble_of_att(0x80) is Trouble.GATT


def test_errors_without_a_name() -> None:
    lost = "failed to discover services, device disconnected"
    assert trouble_of_text(lost) is Trouble.LOST
    assert trouble_of_text("adapter 'hci3' not found") is Trouble.NO_ADAPTER
    assert trouble_of_text("device 'dev_AA' not found") is Trouble.GONE


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (BleakGATTProtocolError(BleakGATTProtocolErrorCode(0x0F)), Trouble.NOT_PAIRED),
        (BleakDBusError("org.bluez.Error.InProgress", ["busy"]), Trouble.BUSY),
        (BleakDBusError("org.bluez.Error.Failed", []), Trouble.GATT),
        (BleakError("Not connected"), Trouble.LOST),
        (BleakAbortedError("le-connection-abort-by-local"), Trouble.TRANSIENT),
        (TimeoutError(), Trouble.TIMEOUT),
        (BrokenPipeError(), Trouble.NO_BUS),
        (EOFError(), Trouble.NO_BUS),
        (AttributeError("'NoneType' object has no attribute 'call'"), Trouble.LOST),
    ],
)
def test_whatever_bleak_raises_leaves_as_our_own(error: Exception, trouble: Trouble) -> None:
    with pytest.raises(BleError) as caught, ble._as_ble_error("trying"):
        raise error
    assert caught.value.trouble is trouble
    assert str(caught.value).startswith("trying: ")


@pytest.mark.parametrize("wrapper", [BleakConnectionError, BleakNotFoundError])
def test_the_cause_says_more_than_its_wrapper(wrapper: type[BleakError]) -> None:
    cause = BleakDBusError("org.bluez.Error.AuthenticationFailed", ["Authentication Failed"])
    with pytest.raises(BleError) as caught, ble._as_ble_error("connecting"):
        raise wrapper("Failed to connect after 2 attempt(s)") from cause
    assert caught.value.trouble is Trouble.PAIRING


def test_uuids() -> None:
    assert gatt_link.full_uuid("0x2A35") == "00002A35-0000-1000-8000-00805F9B34FB"
    vendor = "46A970E0-0D5F-11E2-8B5E-0002A5D5C51B"
    assert gatt_link.full_uuid(vendor) == vendor


def test_the_parts_of_bleak_we_lean_on_exist() -> None:
    """bleak's own picture of BlueZ is not its public interface: be told when it changes."""
    from bleak.backends.bluezdbus.manager import BlueZManager, get_global_bluez_manager

    assert callable(BlueZManager.is_connected)
    assert callable(get_global_bluez_manager)
