"""The one place that drives bleak-esphome and aioesphomeapi: one proxy, its adverts, its links.

Imported only where the settings name a proxy: the packages are an extra of their own, whose
licences docs/operations.md tells. Errors leave as BleError.

- The client of bleak-esphome connects, reads and writes; the subscription goes in two steps of its
  own. A proxy forwards a value only once it is registered for it, which costs nothing on the air,
  and confirms and drops what comes before. A bonded cuff indicates as soon as the link is
  encrypted. So: register for everything measured, then encrypt, then switch on.
- The keys of bonds lie in the proxy. It does not say whether it has one: encryption is asked for on
  each link of a bonded device, and makes a bond where there is none (DisplayYesNo and passkeys it
  cannot do).

Source  aioesphomeapi 46.23 (api.proto), bleak-esphome 4.1; ESPHome bluetooth_proxy,
        esp32_ble_client (which events it answers, what it forwards)
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from typing import Any, Final

from aioesphomeapi import APIClient, BluetoothProxyFeature
from aioesphomeapi.core import APIConnectionError, TimeoutAPIError
from bleak.backends.device import BLEDevice
from bleak_esphome.backend.cache import ESPHomeBluetoothCache
from bleak_esphome.backend.client import ESPHomeClient, ESPHomeClientData
from bleak_esphome.backend.device import ESPHomeBluetoothDevice

from wardlight_edge.config import ProxySettings
from wardlight_edge.transports.ble_errors import BleError, Trouble
from wardlight_edge.transports.esphome_errors import as_ble_error, as_open_error
from wardlight_edge.transports.esphome_key import read_key
from wardlight_edge.transports.esphome_link import Packet, ProxyLink
from wardlight_edge.transports.gatt_link import REQUEST_TIMEOUT_S

OPEN_TIMEOUT_S: Final = 30.0
UNPAIR_S: Final = 2.0
CLOSE_TIMEOUT_S: Final = 12.0  # its client waits 5 s for the proxy to count a freed link
KEEPALIVE_S: Final = 10.0  # a proxy that does not answer for 4.5 of them is away
_NO_ADDRESS: Final = 1 << 48
_CONNECTS: Final = BluetoothProxyFeature.ACTIVE_CONNECTIONS | BluetoothProxyFeature.REMOTE_CACHING

_logger = logging.getLogger(__name__)


class _NoScanner:
    """Stands for the scanner of Home Assistant's Bluetooth manager: the client announces to it."""

    def connecting(self) -> AbstractContextManager[None]:
        return nullcontext()


class Proxy:
    """An open connection to one proxy; ProxyOpener makes and ends it."""

    def __init__(self, api: Any, data: Any, lost: asyncio.Event) -> None:
        self._api = api
        self._data = data
        self._lost = lost
        self._heard: Callable[[Packet], None] = lambda _: None
        self._features = int(
            data.device_info.bluetooth_proxy_feature_flags_compat(data.api_version)
        )

    @property
    def makes_links(self) -> bool:
        """Whether it connects at all: ``active: true``, and firmware from 2022.12 or later."""
        return bool(self._features & _CONNECTS == _CONNECTS)

    @property
    def forwards(self) -> bool:
        """Whether it forwards what it hears: ``bluetooth_proxy``, and firmware from 2023.6."""
        return bool(self._features & BluetoothProxyFeature.RAW_ADVERTISEMENTS)

    async def wait_lost(self) -> None:
        """Return when the proxy is away."""
        await self._lost.wait()

    def peer(self, packet: Packet) -> BLEDevice:
        """The BLEDevice to connect to."""
        details = {"source": self._data.title, "address_type": packet.address_type}
        return BLEDevice(packet.address, packet.address, details)

    def listen(self, heard: Callable[[Packet], None]) -> None:
        """Ask for every advertisement; may be repeated. BleError: it cannot forward them."""
        if not self.forwards:
            raise BleError(
                Trouble.UNUSABLE,
                "forwards no advertisements: its configuration lacks bluetooth_proxy, or its "
                "firmware is older than 2023.6",
            )

        self._heard = heard
        with as_ble_error("asking for advertisements"):
            # Asked again with the same method this is no second subscription. It is never taken
            # back: a proxy without a listener ends all links.
            self._api.subscribe_bluetooth_le_raw_advertisements(self._on_batch)

    def count_links(self, reported: Callable[[int, int], None]) -> None:
        """Ask to be told (free, limit) of its links whenever that changes."""

        def on_report(free: int, limit: int, allocated: list[int]) -> None:
            self._data.bluetooth_device.async_update_ble_connection_limits(free, limit, allocated)
            reported(free, limit)

        with as_ble_error("asking for its links"):
            self._api.subscribe_bluetooth_connections_free(on_report)

    async def forget(self, address: str) -> None:
        """Drop the proxy's key of a device; none there is no error."""
        with as_ble_error("dropping the bond"):
            try:
                await self._api.bluetooth_device_unpair(_number(address), UNPAIR_S)
            except TimeoutAPIError:
                # ESPHome (2026.6, and before) answers with the message for pairing, which the
                # library does not take for an answer. That the proxy lives is all to be had.
                await self._api.device_info()

    @asynccontextmanager
    async def connected(
        self,
        peer: Any,
        *,
        encrypt: bool,
        timeout_s: float,
        measures: tuple[str, ...],
    ) -> AsyncIterator[ProxyLink]:
        """Connect to a device just heard; the link always ends with the context.

        encrypt  with the bond's key, or with a new one; BleError PAIRING when that fails
        """
        lost = asyncio.Event()
        client = ESPHomeClient(
            peer,
            disconnected_callback=lost.set,
            client_data=self._data,
            timeout=timeout_s,
        )
        try:
            with as_ble_error("connecting", Trouble.TRANSIENT):
                async with asyncio.timeout(timeout_s):
                    # Handles of a device without a bond may differ from link to link.
                    await client.connect(pair=False, dangerous_use_bleak_cache=encrypt)
            link = ProxyLink(client, self._register, lost, as_ble_error)
            await link.register(measures)
            if encrypt:
                await self._encrypt(client, timeout_s)
            yield link
        except BleError:
            self._data.bluetooth_device.cache.clear_gatt_services_cache(_number(peer.address))
            raise
        finally:
            await _disconnect(client, peer.address)

    def _on_batch(self, batch: Any) -> None:
        for each in batch.advertisements:
            if each.address < _NO_ADDRESS:
                address = _text(each.address)
                self._heard(Packet(address, each.address_type, each.rssi, bytes(each.data)))

    async def _register(
        self, address: str, handle: int, taken: Callable[[int, bytearray], None]
    ) -> None:
        await self._api.bluetooth_gatt_start_notify(
            _number(address), handle, taken, REQUEST_TIMEOUT_S
        )

    async def _encrypt(self, client: Any, timeout_s: float) -> None:
        if not self._features & BluetoothProxyFeature.PAIRING:
            raise BleError(Trouble.PAIRING, "the proxy's firmware is too old to pair")
        with as_ble_error("encrypting", Trouble.PAIRING):
            async with asyncio.timeout(timeout_s):
                await client.pair()


class ProxyOpener:
    """Connects to one proxy; called for each connection.

    What is known of the services of bonded devices is kept from one to the next.
    """

    def __init__(self, settings: ProxySettings) -> None:
        self._settings = settings
        self._cache = ESPHomeBluetoothCache()

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[Proxy]:
        """Connect. BleError: the proxy is away, or refuses us; the text says which."""
        with as_open_error(self._settings):
            key = read_key(self._settings.noise_key_file)
        lost = asyncio.Event()

        async def on_stop(_: bool) -> None:
            lost.set()

        api = APIClient(
            self._settings.host,
            self._settings.port,
            noise_psk=key,
            client_info="wardlight",
            keepalive=KEEPALIVE_S,
            provide_time=False,
        )
        try:
            with as_open_error(self._settings):
                async with asyncio.timeout(OPEN_TIMEOUT_S):
                    await api.connect(on_stop=on_stop, log_errors=False)
                    info = await api.device_info()
            async with self._serving(api, info) as data:
                yield Proxy(api, data, lost)
        finally:
            await _close(api)

    @asynccontextmanager
    async def _serving(self, api: Any, info: Any) -> AsyncIterator[Any]:
        """What the client of bleak-esphome wants to know; its links end with the context."""
        name = self._settings.name
        device = ESPHomeBluetoothDevice(name, info.mac_address, available=True, cache=self._cache)
        data = ESPHomeClientData(device, api, info, api.api_version, name, _NoScanner())
        try:
            yield data
        finally:
            device.async_set_unavailable()
            for callback in tuple(data.disconnect_callbacks):
                callback()


async def _close(api: Any) -> None:
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await api.disconnect()
    except (APIConnectionError, TimeoutError, OSError) as error:
        _logger.info("proxy not left properly", extra={"error": type(error).__name__})
        api.force_disconnect()


async def _disconnect(client: Any, address: str) -> None:
    if not client.is_connected:
        return
    try:
        with as_ble_error("disconnecting"):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await client.disconnect()
    except BleError as error:
        _logger.info("link not ended properly", extra={"device": address, "error": str(error)})


def _number(address: str) -> int:
    return int(address.replace(":", ""), 16)


def _text(number: int) -> str:
    return ":".join(f"{octet:02X}" for octet in number.to_bytes(6, "big"))
