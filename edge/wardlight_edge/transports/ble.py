"""The one place that touches bleak: scan one adapter, hold one link. Errors leave as BleError.

bleak is used as it is. What it does not do by itself and BlueZ needs is done here: the adapter is
always named (bleak's default is a random one of several), every link ends in ``disconnect`` (a link
the device ended keeps its D-Bus socket until then), every wait has an end.

Source  bleak 3.1 (bluezdbus backend), bleak-retry-connector 4.7; BlueZ doc/org.bluez.*.rst
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import msgspec
from bleak import BleakClient, BleakScanner
from bleak.args.bluez import BlueZDiscoveryFilters, BlueZScannerArgs
from bleak.backends.bluezdbus.manager import get_global_bluez_manager
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData
from bleak.exc import BleakDBusError, BleakError, BleakGATTProtocolError
from bleak_retry_connector import establish_connection

from wardlight_edge.transports.adverts import Advert, Sighting, adverts_of, short_uuid
from wardlight_edge.transports.ble_errors import (
    BleError,
    Trouble,
    trouble_of_att,
    trouble_of_dbus,
    trouble_of_text,
)
from wardlight_edge.transports.gatt_link import REQUEST_TIMEOUT_S, GattLink

ATTEMPTS: Final = 2
SCAN_TIMEOUT_S: Final = 10.0
DISCONNECT_TIMEOUT_S: Final = 15.0  # bleak itself gives the link 10 s to end
GONE_TIMEOUT_S: Final = 1.0
# Lowest RSSI there is: a filter that drops nothing makes BlueZ 5.88 and later report each
# advertisement; without one a still device that moves by less than 8 dB falls silent.
# DuplicateData: data that is sent again is told again, and what is sent no more is forgotten.
_FILTERS: Final[BlueZDiscoveryFilters] = {"RSSI": -127, "DuplicateData": True}
_logger = logging.getLogger(__name__)


class Heard(msgspec.Struct, frozen=True):
    """One advertisement of a device we know, with BlueZ's live object for it.

    adverts  what its data says now; BlueZ may also show what was said before
    """

    address: str
    adapter: str
    path: str
    rssi: int
    is_paired: bool
    mono_ms: int
    peer: BLEDevice
    adverts: tuple[Advert, ...] = ()


@asynccontextmanager
async def overhearing(adapter: str, sighted: Callable[[Sighting], None]) -> AsyncIterator[None]:
    """Scan as one more client of BlueZ, beside whoever scans already. BleError: see Scanner."""

    def on_advertisement(peer: BLEDevice, data: AdvertisementData) -> None:
        properties = data.platform_data[1]
        sighting = Sighting(
            peer.address.upper(),
            str(properties.get("AddressType", "public")),
            data.local_name,
            data.rssi,
            tuple(map(short_uuid, data.service_uuids)),
            adverts_of(data.service_data, data.manufacturer_data),
        )
        sighted(sighting)

    scanner = _scanner(adapter, on_advertisement)
    await _start(scanner)
    try:
        yield
    finally:
        await _stop(scanner, adapter)


class Scanner:
    """The active scan of one adapter.

    wanted    addresses whose advertisements go to ``heard``
    heard     told each of them
    anything  told that the radio hears, whoever it was
    """

    def __init__(
        self,
        adapter: str,
        wanted: Collection[str],
        heard: Callable[[Heard], None],
        anything: Callable[[], int],
    ) -> None:
        self._adapter = adapter
        self._wanted = wanted
        self._heard = heard
        self._anything = anything
        self._scanner: BleakScanner | None = None

    async def start(self) -> None:
        """Start scanning. BleError: no bus, no adapter, no power."""
        scanner = _scanner(self._adapter, self._on_advertisement)
        await _start(scanner)
        self._scanner = scanner

    async def stop(self) -> None:
        """Stop scanning; never fails: BlueZ ends a scan with its client too."""
        scanner, self._scanner = self._scanner, None
        if scanner is not None:
            await _stop(scanner, self._adapter)

    def _on_advertisement(self, peer: BLEDevice, data: AdvertisementData) -> None:
        mono_ms = self._anything()
        address = peer.address.upper()
        if address in self._wanted:
            # The properties in ``peer.details`` are those of the first advertisement.
            path, properties = data.platform_data
            paired, rssi = bool(properties.get("Paired")), int(properties.get("RSSI", -127))
            adverts = adverts_of(data.service_data, data.manufacturer_data)
            self._heard(Heard(address, self._adapter, path, rssi, paired, mono_ms, peer, adverts))


def _scanner(adapter: str, heard: Callable[[BLEDevice, AdvertisementData], None]) -> BleakScanner:
    bluez: BlueZScannerArgs = {"adapter": adapter, "filters": _FILTERS}
    return BleakScanner(heard, scanning_mode="active", bluez=bluez)


async def _start(scanner: BleakScanner) -> None:
    with _as_ble_error("start of the scan"):
        async with asyncio.timeout(SCAN_TIMEOUT_S):
            await scanner.start()


async def _stop(scanner: BleakScanner, adapter: str) -> None:
    try:
        with _as_ble_error("stop of the scan"):
            async with asyncio.timeout(SCAN_TIMEOUT_S):
                await scanner.stop()
    except BleError as error:
        _logger.warning("scan not stopped", extra={"adapter": adapter, "error": str(error)})


class Link(GattLink):
    """A connected device. Operations raise BleError; the context ``connected`` ends it."""

    def __init__(self, client: BleakClient, lost: asyncio.Event) -> None:
        super().__init__(client, lost, _as_ble_error)

    async def subscribe(self, channel: str, notified: Callable[[bytes], None]) -> None:
        """Switch notifications or indications on (StartNotify); values go to ``notified``."""
        characteristic = self._characteristic(channel)

        def on_value(_: BleakGATTCharacteristic, value: bytearray) -> None:
            notified(bytes(value))

        with _as_ble_error(f"{channel}: subscribing"):
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                # Not AcquireNotify, which some devices answer with silence.
                await self._client.start_notify(
                    characteristic, on_value, bluez={"use_start_notify": True}
                )


@asynccontextmanager
async def connected(heard: Heard, *, pair: bool, timeout_s: float) -> AsyncIterator[Link]:
    """Connect to a device just heard; the link always ends with the context."""
    lost = asyncio.Event()
    client = await _connect(heard, pair, timeout_s, lost)
    try:
        if not await _is_up(heard):
            raise BleError(Trouble.LOST, "connecting: the link ended at once")
        yield Link(client, lost)
    finally:
        await _disconnect(client, heard)


async def _is_up(heard: Heard) -> bool:
    """Whether BlueZ shows the link; no round trip, so that nothing delays the subscription.

    A link that ends before Connect has answered (a bonded device without our key) leaves bleak's
    client believing that it is connected; its ``disconnect`` then waits 10 s for an event of the
    past. bleak's own picture of BlueZ's objects knows better.
    """
    with _as_ble_error("connecting"):
        manager = await get_global_bluez_manager()
        return bool(manager.is_connected(heard.path))


async def _connect(heard: Heard, pair: bool, timeout_s: float, lost: asyncio.Event) -> BleakClient:
    def on_disconnected(_: BleakClient) -> None:
        lost.set()

    with _as_ble_error("connecting"):
        async with asyncio.timeout(timeout_s):
            if pair:
                return await _pair(heard, timeout_s, on_disconnected)
            client: BleakClient = await establish_connection(
                BleakClient,
                heard.peer,
                heard.address,
                disconnected_callback=on_disconnected,
                max_attempts=ATTEMPTS,
                bluez={"adapter": heard.adapter},
            )
            return client


async def _pair(
    heard: Heard, timeout_s: float, on_disconnected: Callable[[BleakClient], None]
) -> BleakClient:
    """Connect and pair, once: after a failure somebody must act.

    bleak-retry-connector ends every attempt after 20 s; a person who types digits needs longer.
    """
    client = BleakClient(
        heard.peer,
        disconnected_callback=on_disconnected,
        pair=True,
        timeout=timeout_s,
        bluez={"adapter": heard.adapter},
    )
    await client.connect()
    return client


async def _disconnect(client: BleakClient, heard: Heard) -> None:
    try:
        with _as_ble_error("disconnecting"):
            async with asyncio.timeout(DISCONNECT_TIMEOUT_S) as deadline:
                if not await _is_up(heard):
                    deadline.reschedule(asyncio.get_running_loop().time() + GONE_TIMEOUT_S)
                # bleak releases its socket however the wait ends.
                await client.disconnect()
    except BleError as error:
        extra = {"device": heard.address, "error": str(error)}
        _logger.info("link not ended properly", extra=extra)


@contextmanager
def _as_ble_error(what: str) -> Iterator[None]:
    """Turn whatever bleak, dbus-fast and the D-Bus socket raise into BleError."""
    try:
        yield
    except TimeoutError as error:
        raise BleError(Trouble.TIMEOUT, f"{what}: no answer in time") from error
    except BleakError as error:
        trouble, text = _trouble(error)
        raise BleError(trouble, f"{what}: {text}", _att_code(error)) from error
    except (OSError, EOFError) as error:
        raise BleError(Trouble.NO_BUS, f"{what}: the system D-Bus is gone") from error
    except (AttributeError, AssertionError, KeyError) as error:
        # bleak meets a bus or a device that vanished in the middle of an operation so (a None
        # bus, a missing property); bleak-retry-connector retries on the same ones.
        raise BleError(
            Trouble.LOST, f"{what}: the link vanished ({type(error).__name__})"
        ) from error


def _trouble(error: BaseException) -> tuple[Trouble, str]:
    """Trouble and text of the first error in the chain that says more than "failed"."""
    match error:
        case BleakGATTProtocolError():
            return trouble_of_att(int(error.code)), f"ATT error {int(error.code):#04x}"
        case BleakDBusError():
            text = error.dbus_error_details or ""
            return trouble_of_dbus(error.dbus_error, text), text or error.dbus_error
        case TimeoutError():
            return Trouble.TIMEOUT, "no answer in time"
    if error.__cause__ is not None:
        return _trouble(error.__cause__)
    text = _first_line(error.args)
    return trouble_of_text(text), text


def _att_code(error: BaseException | None) -> int | None:
    """The first ATT error in the chain."""
    while error is not None and not isinstance(error, BleakGATTProtocolError):
        error = error.__cause__
    return None if error is None else int(error.code)


def _first_line(arguments: tuple[Any, ...]) -> str:
    return str(arguments[0]).partition("\n")[0] if arguments else "failed"
