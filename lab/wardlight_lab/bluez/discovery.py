"""Discovery on one adapter: which clients scan, with which filters, and what an advertisement
changes.

Source  BlueZ doc/org.bluez.Adapter.rst (SetDiscoveryFilter), src/adapter.c and src/device.c (RSSI
        threshold; device_set_manufacturer_data and device_set_service_data, which clear what was
        said before only with DuplicateData)
"""

from dataclasses import dataclass
from typing import Any, Final, Self

from dbus_fast import Variant

from wardlight_lab.bluez.errors import failed, in_progress
from wardlight_lab.bluez.object_tree import Properties
from wardlight_lab.bluez.peripheral import Peripheral

DEFAULT_RSSI: Final = -60
DATA: Final = ("ManufacturerData", "ServiceData")
JITTER_DB: Final = (0, 1, -1, 2, -2, 1, 0, -1)


@dataclass(frozen=True, slots=True)
class DiscoveryFilter:
    """What one client wants to hear; the defaults let everything through."""

    uuids: frozenset[str] = frozenset()
    rssi: int | None = None
    is_duplicate_data: bool = False

    @classmethod
    def from_options(cls, options: dict[str, Variant]) -> Self:
        """Read the argument of SetDiscoveryFilter; keys without effect here are accepted."""
        plain = {key: value.value for key, value in options.items()}
        return cls(
            uuids=frozenset(each.lower() for each in plain.get("UUIDs", ())),
            rssi=plain.get("RSSI"),
            is_duplicate_data=bool(plain.get("DuplicateData", False)),
        )

    def lets_through(self, peripheral: Peripheral, rssi: int) -> bool:
        """Whether the client wants to know of this advertisement."""
        if self.rssi is not None and rssi < self.rssi:
            return False
        return not self.uuids or not self.uuids.isdisjoint(peripheral.advertisement.service_uuids)


class DiscoverySessions:
    """The clients that have discovery on, and the filters clients have set."""

    def __init__(self) -> None:
        self._filters: dict[str, DiscoveryFilter] = {}
        self._active: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self._active)

    def set_filter(self, sender: str, options: dict[str, Any]) -> None:
        """Keep a client's filter; an empty one clears it."""
        if options:
            self._filters[sender] = DiscoveryFilter.from_options(options)
        else:
            self._filters.pop(sender, None)

    def begin(self, sender: str) -> None:
        """A client starts discovery. Errors: ReplyError InProgress when it has it on already."""
        if sender in self._active:
            raise in_progress()
        self._active.add(sender)

    def end(self, sender: str) -> None:
        """A client stops discovery. Errors: ReplyError when it had none."""
        if sender not in self._active:
            raise failed("No discovery started")
        self._active.discard(sender)

    def forget(self, sender: str) -> bool:
        """A client has left; True when its discovery ended with it."""
        self._filters.pop(sender, None)
        was_active = sender in self._active
        self._active.discard(sender)
        return was_active

    def clear(self) -> None:
        """End all discovery (the adapter has lost its power)."""
        self._active.clear()

    def wants(self, peripheral: Peripheral, rssi: int) -> bool:
        """Whether any active client's filter lets this advertisement through."""
        return any(each.lets_through(peripheral, rssi) for each in self._active_filters())

    def wants_every_rssi(self) -> bool:
        """An RSSI filter makes BlueZ report each reception, not only the larger changes."""
        return any(each.rssi is not None for each in self._active_filters())

    def wants_duplicates(self) -> bool:
        """Whether unchanged manufacturer and service data are reported again."""
        return any(each.is_duplicate_data for each in self._active_filters())

    def _active_filters(self) -> list[DiscoveryFilter]:
        return [self._filters.get(sender, DiscoveryFilter()) for sender in self._active]


def received_rssi(peripheral: Peripheral, adapter: str, count: int) -> int:
    """The power of the n-th advertisement: a still device varies by a few dB."""
    return peripheral.rssi.get(adapter, DEFAULT_RSSI) + JITTER_DB[count % len(JITTER_DB)]


def advertised_properties(peripheral: Peripheral) -> Properties:
    """What an advertisement tells about a device, as Device1 properties (without RSSI)."""
    heard = peripheral.advertisement
    alias = peripheral.name or peripheral.address.replace(":", "-")
    properties: Properties = {
        "AddressType": Variant("s", peripheral.address_type),
        "Alias": Variant("s", alias),
        "UUIDs": Variant("as", list(heard.service_uuids)),
        "AdvertisingFlags": Variant("ay", bytes([heard.flags])),
    }
    if peripheral.name:
        properties["Name"] = Variant("s", peripheral.name)
    if heard.appearance is not None:
        properties["Appearance"] = Variant("q", heard.appearance)
    if heard.tx_power is not None:
        properties["TxPower"] = Variant("n", heard.tx_power)
    return properties | advertised_data(peripheral)


def advertised_data(peripheral: Peripheral) -> Properties:
    """Manufacturer and service data alone."""
    heard = peripheral.advertisement
    data: Properties = {}
    if heard.manufacturer_data:
        wrapped = {key: Variant("ay", value) for key, value in heard.manufacturer_data.items()}
        data["ManufacturerData"] = Variant("a{qv}", wrapped)
    if heard.service_data:
        wrapped_service = {key: Variant("ay", value) for key, value in heard.service_data.items()}
        data["ServiceData"] = Variant("a{sv}", wrapped_service)
    return data


def changed_properties(
    known: Properties, heard: Properties, rssi: int, *, threshold_db: int, repeat_data: bool
) -> Properties:
    """The properties a further advertisement changes in what is known of a device.

    Data is collected by UUID and by company: a device that says one thing after another is shown
    with all of it. With `repeat_data` only what it has just said is shown, again and again.

    threshold_db  an RSSI that moved by less is not reported: 0 up to BlueZ 5.87 with a filter set,
                  8 after
    repeat_data   report unchanged manufacturer and service data too (DuplicateData)
    """
    if not repeat_data:
        heard = heard | {key: _collected(known, heard, key) for key in DATA if key in heard}
    changed = {
        key: value
        for key, value in heard.items()
        if known.get(key) != value or (repeat_data and key in DATA)
    }
    before = known.get("RSSI")
    if before is None or abs(before.value - rssi) >= threshold_db:
        changed["RSSI"] = Variant("n", rssi)
    return changed


def _collected(known: Properties, heard: Properties, key: str) -> Variant:
    """What was said under each UUID or company, the newest of each."""
    before = known[key].value if key in known else {}
    return Variant(heard[key].signature, before | heard[key].value)
