"""What we lean on in other people's packages without a promise of theirs. Nothing is mocked.

One test each: when an update breaks it, this is where it is seen, and the docstring says which
module of ours has to change.
"""

import socket
import ssl
from typing import Any

import pytest
from bleak.backends.bluezdbus.scanner import BleakScannerBlueZDBus
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData
from dbus_fast import BusType, Variant
from dbus_fast._private.address import get_bus_address
from paho.mqtt.client import MQTT_ERR_SUCCESS, Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion


def test_bleak_shows_the_bluez_object_of_an_advertiser() -> None:
    """transports/ble.py reads path and properties of a device from `BLEDevice.details`."""
    heard: list[BLEDevice] = []

    def remember(device: BLEDevice, _: AdvertisementData) -> None:
        heard.append(device)

    scanner = BleakScannerBlueZDBus(remember, None, "active", bluez={})
    path = "/org/bluez/hci0/dev_00_11_22_33_AA_BB"
    properties: Any = {"Address": "00:11:22:33:AA:BB", "Alias": "cuff", "Paired": True, "RSSI": -60}
    scanner._handle_advertising_data(path, properties)
    assert [device.details for device in heard] == [{"path": path, "props": properties}]


def test_dbus_fast_lets_the_environment_name_the_system_bus(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The emulated BlueZ stands on a private bus, and the product's code does not know it."""
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nowhere/bus")
    assert get_bus_address(BusType.SYSTEM) == "unix:path=/nowhere/bus"
    assert Variant("s", "cuff").value == "cuff"


def test_paho_leaves_writing_to_the_thread_that_reads() -> None:
    """ingest/mqtt.py: publish() must not write itself once `on_socket_register_write` is set."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv311)
        client.on_socket_register_write = lambda *_: None
        client._sock = ours
        assert client.publish("a", b"b", qos=1).rc == MQTT_ERR_SUCCESS
        with pytest.raises(BlockingIOError):
            theirs.recv(1)
        assert len(client._out_packet) == 1
        client._sock = None


def test_python_asks_for_modern_tls() -> None:
    """Our TLS contexts set no version and no check: the defaults must be these."""
    context = ssl.create_default_context()
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert context.check_hostname
    assert context.verify_mode == ssl.CERT_REQUIRED
