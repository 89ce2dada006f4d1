"""Devices that only advertise: a BTHome v2 sensor, plain or encrypted, and Xiaomi's scales.

Out     service data: BTHome under 0xFCD2; Mi Smart Scale under 0x181D (flags u8 | weight u16 in
        0.005 kg | date time 7); Mi Body Composition Scale under 0x181B (unit u8 | flags u8 | date
        time 7 | impedance u16 | weight u16)
Source  BTHome v2 format and encryption (bthome.io); the scales as Bluetooth-Devices/xiaomi-ble
        reads them. Written apart from the product's decoders
"""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESCCM

from wardlight_lab.bluez import Advertisement, Link, Peripheral, uuid16
from wardlight_lab.devices.encoding import date_time, u8, u16

BTHOME: Final = uuid16(0xFCD2)
SMART_SCALE: Final = uuid16(0x181D)
BODY_COMPOSITION_SCALE: Final = uuid16(0x181B)

BATTERY: Final = 0x01
TEMPERATURE: Final = 0x02
MASS_KG: Final = 0x06
PACKET_ID: Final = 0x00

VERSION_2: Final = 0x40
ENCRYPTED: Final = 0x01

STABILISED: Final = 0x20
REMOVED: Final = 0x80
WITH_IMPEDANCE: Final = 0x02


class Advertiser(Peripheral):
    """A device that advertises data, and counts whoever connects all the same."""

    def __init__(
        self,
        address: str,
        name: str,
        *,
        address_type: str = "public",
        interval_s: float = 1.0,
        rssi: dict[str, int] | None = None,
    ) -> None:
        super().__init__(
            address,
            name,
            [],
            advertisement=Advertisement(interval_s=interval_s),
            address_type=address_type,
            rssi=rssi,
        )
        self.visits = 0

    async def on_connected(self, link: Link) -> None:
        """Nobody has a reason to."""
        del link
        self.visits += 1

    def advertise(
        self,
        service_data: dict[str, bytes] | None = None,
        manufacturer_data: dict[int, bytes] | None = None,
    ) -> None:
        """Say this from now on, until it says something else or `stop_advertising`."""
        self.advertisement = replace(
            self.advertisement,
            service_data=service_data or {},
            manufacturer_data=manufacturer_data or {},
        )
        self.start_advertising()


class BTHomeSensor(Advertiser):
    """A BTHome v2 sensor.

    key      bind key of 16 bytes; None = it does not encrypt
    counter  of the last encrypted packet; a battery change sets it back
    """

    def __init__(
        self,
        address: str,
        name: str = "",
        *,
        key: bytes | None = None,
        counter: int = 0,
        interval_s: float = 1.0,
        rssi: dict[str, int] | None = None,
    ) -> None:
        super().__init__(address, name, interval_s=interval_s, rssi=rssi)
        self.key = key
        self.counter = counter

    def say(self, *objects: tuple[int, int], packet: int | None = None) -> bytes:
        """Advertise objects of (id, number as on the wire); returns the service data."""
        body = b"" if packet is None else u8(PACKET_ID) + u8(packet)
        for name, number in sorted(objects):
            body += u8(name) + (u8(number) if name == BATTERY else u16(number))
        if self.key is None:
            payload = u8(VERSION_2) + body
        else:
            self.counter += 1
            payload = self.sealed(body, self.counter)
        self.advertise({BTHOME: payload})
        return payload

    def weigh(self, kilograms: Decimal, *, packet: int | None = None) -> bytes:
        """Advertise a weight in steps of 0.01 kg."""
        return self.say((MASS_KG, int(kilograms * 100)), packet=packet)

    def sealed(self, body: bytes, counter: int) -> bytes:
        """An encrypted packet with this counter."""
        if self.key is None:
            raise ValueError("this sensor has no key")
        info, number = u8(VERSION_2 | ENCRYPTED), counter.to_bytes(4, "little")
        nonce = bytes.fromhex(self.address.replace(":", "")) + b"\xd2\xfc" + info + number
        closed = AESCCM(self.key, tag_length=4).encrypt(nonce, body, None)
        return info + closed[:-4] + number + closed[-4:]


class MiSmartScale(Advertiser):
    """Xiaomi Mi Smart Scale."""

    def weigh(self, kilograms: Decimal, at: datetime, *, flags: int = STABILISED) -> bytes:
        """Advertise a weighing; without STABILISED the pointer still moves."""
        payload = u8(flags) + u16(int(kilograms * 200)) + date_time(at)
        self.advertise({SMART_SCALE: payload})
        return payload


class MiBodyCompositionScale(Advertiser):
    """Xiaomi Mi Body Composition Scale."""

    def weigh(
        self,
        kilograms: Decimal,
        at: datetime,
        *,
        flags: int = STABILISED,
        impedance: int | None = None,
    ) -> bytes:
        """Advertise a weighing, with the impedance once it is measured."""
        flags |= 0 if impedance is None else WITH_IMPEDANCE
        unit = u8(0x02)
        ohm = u16(0xFFFD if impedance is None else impedance)
        payload = unit + u8(flags) + date_time(at) + ohm + u16(int(kilograms * 200))
        self.advertise({BODY_COMPOSITION_SCALE: payload})
        return payload
