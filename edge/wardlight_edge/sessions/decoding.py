"""Octets of one device into what they mean; chooses the decoder, keeps the framing of a wire.

Errors  DecodeError from ``decode``: quarantine the octets; ConfigError when a decoder is made
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import msgspec

from wardlight_edge import devices
from wardlight_edge.devices import (
    Assembler,
    Frame,
    GattDecoder,
    Samples,
    SegmentedDecoder,
    SitedDecoder,
    TunedWaveformDecoder,
    WaveformDecoder,
    device_information,
)
from wardlight_edge.sessions.records import check_numbers
from wardlight_edge.sessions.told import Told, told_by
from wardlight_edge.transports.base import Octets
from wardlight_shared.model import DeviceInfo, Reading
from wardlight_shared.profile import Profile

CAPTURED = "readings"
"""Channel of readings that a capture holds in decoded form."""

_CLOCKS = frozenset({"0x2A08", "0x2A2B"})

OWN_OPTIONS = frozenset({"waveform", "trust_clock"})
"""Options of a profile that are the session's, not the decoder's."""


class Values(msgspec.Struct, frozen=True):
    """Readings of one moment; ``is_stream`` says whether they are folded into blocks.

    joined  the value, where it came in several notifications; None = what arrived
    """

    readings: tuple[Reading, ...]
    is_stream: bool
    samples: tuple[Samples, ...] = ()
    joined: bytes | None = None


Meaning = Values | Told


class Decoding(Protocol):
    """Decodes one device's octets, in order."""

    @property
    def info(self) -> DeviceInfo:
        """What the device says of itself, as far as it is known."""

    def decode(self, arrival: Octets) -> Sequence[Meaning]:
        """Everything these octets complete; () when more must come or nothing is to be kept."""

    def is_about_device(self, channel: str) -> bool:
        """Whether a channel tells of the device itself and not of a patient."""

    def restart(self) -> None:
        """A new link: forget unfinished frames."""

    def take_damaged(self) -> int:
        """Damaged frames since the last call."""


def decoding_of(profile: Profile) -> Decoding:
    """The decoding for a profile."""
    if profile.transport.serial is not None:
        return SerialDecoding(profile)
    return GattDecoding(profile)


def options_of(profile: Profile) -> dict[str, str | int | float | bool]:
    """The decoder's own options."""
    return {name: value for name, value in profile.options.items() if name not in OWN_OPTIONS}


def needs_of(profile: Profile) -> frozenset[str]:
    """What a link has to tell before its readings are taken: of "clock" and "site"."""
    ble = profile.transport.ble
    if ble is None:
        return frozenset()
    decoder = devices.load_gatt(profile.decoder)
    is_sited = isinstance(decoder, SitedDecoder) and decoder.SITE_CHARACTERISTIC in ble.read_once
    shows_clock = ble.set_clock is not None or not _CLOCKS.isdisjoint(ble.read_once)
    return frozenset({"clock"} if shows_clock else ()) | frozenset({"site"} if is_sited else ())


class GattDecoding:
    """Values of characteristics: the profile's decoder, and the companions every device has."""

    def __init__(self, profile: Profile) -> None:
        self._decoder = devices.load_gatt(profile.decoder)
        ble = profile.transport.ble
        is_stream = profile.stream is not None and ble is not None
        self._streamed = frozenset(ble.notify) if ble is not None and is_stream else frozenset()
        # Asked once: a Protocol takes as long to check as a value to decode.
        self._sited = self._decoder if isinstance(self._decoder, SitedDecoder) else None
        self._waveform = _waveform_of(self._decoder, profile)
        self._site: str | None = None
        self.info = _matched(profile)
        self._provisional = devices.provisional(profile.decoder)
        self._keeps_waveform = bool(profile.options.get("waveform", False))
        self._assembler = _assembler_of(self._decoder)

    def is_about_device(self, channel: str) -> bool:
        """A companion that is not what this decoder measures, or where it measures."""
        if self._sited is not None and channel == self._sited.SITE_CHARACTERISTIC:
            return True
        return channel in devices.COMPANIONS and channel not in self._decoder.CHARACTERISTICS

    def decode(self, arrival: Octets) -> Sequence[Meaning]:
        """Decode one value."""
        if self.is_about_device(arrival.channel):
            return [self._told(arrival)]
        octets = self._whole(arrival)
        if octets is None:
            return ()
        frame = self._frame(arrival.channel, octets)
        if arrival.channel in self._provisional:
            return ()
        samples = frame.samples if self._keeps_waveform else ()
        if not frame.readings and not samples:
            return ()
        joined = None if self._assembler is None else octets
        is_streamed = arrival.channel in self._streamed
        if is_streamed and any(reading.time is not None for reading in frame.readings):
            waves = [Values((), is_stream=True, samples=samples)] if samples else []
            return [*_values(frame, (), False, joined), *waves]
        return list(_values(frame, samples, is_streamed, joined))

    def restart(self) -> None:
        """Forget a value that was begun; the site is a device's for its life."""
        self._assembler = _assembler_of(self._decoder)

    def take_damaged(self) -> int:
        """A GATT value is whole or a DecodeError."""
        return 0

    def _whole(self, arrival: Octets) -> bytes | None:
        """The value in the form of its specification; None while more of it must come."""
        if arrival.channel == CAPTURED:
            return arrival.octets
        octets = devices.repaired(arrival.channel, arrival.octets, self.info)
        return octets if self._assembler is None else self._assembler.take(arrival.channel, octets)

    def _frame(self, channel: str, octets: bytes) -> Frame:
        """What a whole value says."""
        if channel == CAPTURED:
            return Frame(devices.load_gatt("replayed_readings").decode(CAPTURED, octets))
        if self._waveform is not None:
            return self._waveform(channel, octets)
        readings = self._decoder.decode(channel, octets)
        return Frame(readings if self._sited is None else self._sited.at_site(readings, self._site))

    def _told(self, arrival: Octets) -> Told:
        if self._sited is not None and arrival.channel == self._sited.SITE_CHARACTERISTIC:
            self._site = self._sited.body_site(arrival.octets)
            return Told(is_site=True)
        told = told_by(devices.COMPANIONS[arrival.channel], arrival)
        if told.info is not None:
            self.info = device_information.merge(self.info, told.info)
        return told


class SerialDecoding:
    """The byte stream of a line."""

    def __init__(self, profile: Profile) -> None:
        self._decoder = devices.load_serial(profile.decoder)
        self._options = options_of(profile)
        self._keeps_waveform = bool(profile.options.get("waveform", False))
        self._is_stream = profile.stream is not None
        self._framer = self._decoder.framer(self._options)
        self._damaged = 0
        self.info = _matched(profile)

    def decode(self, arrival: Octets) -> Sequence[Meaning]:
        """Feed the framer."""
        frames = self._framer.feed(arrival.octets)
        return [values for frame in frames for values in self._values(frame)]

    def is_about_device(self, channel: str) -> bool:
        """A line has one channel."""
        del channel
        return False

    def restart(self) -> None:
        """Begin with a new framer."""
        self._framer = self._decoder.framer(self._options)
        self._damaged = 0

    def take_damaged(self) -> int:
        """Damaged frames since the last call."""
        before, self._damaged = self._damaged, self._framer.counts.damaged
        return self._damaged - before

    def _values(self, frame: Frame) -> Iterator[Values]:
        return _values(frame, frame.samples if self._keeps_waveform else (), self._is_stream, None)


def _values(
    frame: Frame, samples: tuple[Samples, ...], is_stream: bool, joined: bytes | None
) -> Iterator[Values]:
    """What a second showed, in its order: the samples go with its median."""
    for readings in (*frame.before, frame.readings, *frame.after):
        check_numbers(readings)
        is_median = readings is frame.readings
        yield Values(readings, is_stream, samples if is_median else (), joined)


def _waveform_of(decoder: GattDecoder, profile: Profile) -> Callable[[str, bytes], Frame] | None:
    if isinstance(decoder, TunedWaveformDecoder):
        return decoder.frame_decoder(options_of(profile))
    return decoder.decode_frame if isinstance(decoder, WaveformDecoder) else None


def _assembler_of(decoder: GattDecoder) -> Assembler | None:
    return decoder.assembler() if isinstance(decoder, SegmentedDecoder) else None


def _matched(profile: Profile) -> DeviceInfo:
    """The model that a profile is for, until the device says it itself."""
    info = profile.match.info
    if info is None:
        return DeviceInfo()
    return DeviceInfo(manufacturer=info.manufacturer, model=info.model)
