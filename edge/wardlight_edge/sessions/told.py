"""What a device tells of itself beside its readings, through the companion services it may have."""

from collections.abc import Sequence
from typing import Protocol, cast

import msgspec

from wardlight_edge import devices
from wardlight_edge.devices import current_time
from wardlight_edge.transports.base import Octets
from wardlight_shared.model import DeviceInfo, Reading
from wardlight_shared.timestamps import DeviceClock, device_seconds

SERIAL_NUMBER = "0x2A25"


class Told(msgspec.Struct, frozen=True):
    """What a device says of itself; None = nothing about that.

    is_clock          it has shown its clock; ``clock`` is None when that is not set
    is_serial_number  it has shown its serial number; ``info`` lacks it when it is empty
    is_site           it has shown where it measures
    """

    info: DeviceInfo | None = None
    battery_percent: int | None = None
    clock: DeviceClock | None = None
    is_clock: bool = False
    is_serial_number: bool = False
    is_site: bool = False


def told_by(companion: str, arrival: Octets) -> Told:
    """Decode a value of a companion service; DecodeError: quarantine it."""
    if companion == "current_time":
        return Told(clock=_clock(arrival), is_clock=True)
    module = devices.load(companion)
    if companion == "device_information":
        # The module's decode gives DeviceInfo, the one kind of decoder that gives no Readings.
        info = cast(_InfoDecoder, module).decode(arrival.channel, arrival.octets)
        return Told(info=info, is_serial_number=arrival.channel == SERIAL_NUMBER)
    readings = cast(devices.GattDecoder, module).decode(arrival.channel, arrival.octets)
    return Told(battery_percent=_percent(readings))


class _InfoDecoder(Protocol):
    def decode(self, characteristic: str, value: bytes) -> DeviceInfo: ...


def _clock(arrival: Octets) -> DeviceClock | None:
    shown = current_time.decode(arrival.channel, arrival.octets)
    if shown.time is None or not shown.is_set:
        return None
    seconds = device_seconds(shown.time)
    return None if seconds is None else DeviceClock(seconds, arrival.mono_ms)


def _percent(readings: Sequence[Reading]) -> int | None:
    for reading in readings:
        if not isinstance(reading.value, str):
            return int(reading.value)
    return None
