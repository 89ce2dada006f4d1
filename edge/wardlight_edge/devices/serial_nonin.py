"""Nonin serial data formats #2 and #7: OEM III modules, Xpod.

In      the byte stream of a line, 9600 8N1, 75 frames of 5 bytes a second:
        #2  01 | status u8 | pleth u8 | value u8 | sum of the four before, modulo 256
        #7  status u8 | pleth u16, high byte first | value u8 | sum of the four before
        status b7 always 1, b6 sensor disconnected, b5 artefact, b4 out of track, b3 sensor alarm,
        b2-1 perfusion (2 red, 3 yellow, 1 green), b0 first frame of a packet
        a packet is 25 frames, 3 a second; the value of frame 1 is pulse rate bits 8 and 7, of
        frame 2 bits 6 to 0, of frame 3 SpO2 (4-beat averages)
Out     one Frame a second: median spo2 in % and pulse_rate_oximeter in /min of its whole packets,
        what was shown lowest and highest where it differs (Frame.before, Frame.after; _extremes),
        with the status of all frames of that second as flags, and the pleth as Samples.
        SpO2 127 and pulse rate 511 are NOT_MEASURED; SpO2 101 to 126 is INVALID: neither counts,
        nor does a packet of which a frame says disconnected or sensor alarm. Without another both
        are SENSOR_FAULT or SENSOR_OFF (_oximetry), with the number of the last kept in raw_value
        A packet with a damaged frame gives nothing; its time is a gap between the Samples
Errors  none from bytes on a line: damaged frames are counted (FramerCounts); DecodeError from
        ``decode_bytes``; ConfigError for an option
        other than ``data_format`` 2 or 7
Source  Nonin OEM III Module Specification and Technical Information, serial data formats #2, #7;
        the same layout is implemented by mdpnp and by pez-globo/pufferfish-software
Vectors tests/vectors/serial_nonin.toml
"""

from collections.abc import Iterator
from functools import lru_cache, partial
from struct import iter_unpack
from typing import Final

from wardlight_edge.devices import _nonin_values, serial_nonin_df8
from wardlight_edge.devices._base import Frame, FramerCounts, Options, Samples
from wardlight_edge.devices._extremes import frame
from wardlight_edge.devices._oximetry import off_patient
from wardlight_shared.errors import ConfigError, DecodeError
from wardlight_shared.model import DeviceInfo, Flag, Reading

_FRAME: Final = 5
_PACKET: Final = 25 * _FRAME
_PACKETS_A_SECOND: Final = 3
_SAMPLES_A_PACKET: Final = 25
_RATE_MHZ: Final = 75_000
_BEHIND_2: Final = bytes.fromhex("0181000082") * 5
_BEHIND_7: Final = bytes.fromhex("8100000081") * 5
_CHAIN: Final = 3  # frames in a row that settle which of two overlapping readings is true
_LOOKAHEAD: Final = (_FRAME - 1) + _CHAIN * _FRAME
_START: Final = 0x01
_ALWAYS_SET: Final = 0x80
_VALUE_AT: Final = 3
_PERFUSION: Final = 0b110
_PERFUSION_RED: Final = 0b100
_IS_FIRST: Final = bytes(status & 1 for status in range(256))  # table for bytes.translate
_NOT_OFF: Final = bytes(status for status in range(256) if not status & 0b0100_1000)
_SIGN_BIT_FLIPPED: Final = bytes(octet ^ 0x80 for octet in range(256))

# Status bits. b6: no sensor, or a broken one; b3: a sensor whose signal cannot be used, set when
# the finger is removed: the last numbers still stand then. Red perfusion is low or no signal,
# yellow (both bits) marginal, green good.
_STATUS_FLAGS: Final = (
    (0b0100_0000, 0b0100_0000, Flag.SENSOR_FAULT),
    (0b0010_0000, 0b0010_0000, Flag.ARTIFACT),
    (0b0001_0000, 0b0001_0000, Flag.OUT_OF_TRACK),
    (0b0000_1000, 0b0000_1000, Flag.SENSOR_OFF),
    (_PERFUSION, _PERFUSION_RED, Flag.LOW_PERFUSION),
    (_PERFUSION, _PERFUSION, Flag.SIGNAL_POOR),
)


def framer(options: Options) -> "NoninFramer":
    """Make the framer of one line; ``data_format`` is 2 (default) or 7."""
    unknown = sorted(set(options) - {"data_format"})
    data_format = options.get("data_format", 2)
    if unknown or data_format not in (2, 7):
        raise ConfigError("serial_nonin: the one option is data_format, 2 or 7")
    return NoninFramer(is_format_7=data_format == 7)


def decode_bytes(octets: bytes, options: Options) -> tuple[tuple[Reading, ...], DeviceInfo]:
    """Decode a stretch of a line packet by packet, in the format given or in the one that fits.

    Where neither fits, it may be format #8: it has no checksum, so every byte has to fit it.
    """
    framer(options)
    data_format = options.get("data_format")
    formats = (2, 7) if data_format is None else (data_format,)
    fits = [_packets(octets, is_format_7=each == 7) for each in formats]
    frames, counts = max(fits, key=lambda fit: len(fit[0]))
    if not frames and data_format is None and serial_nonin_df8.is_whole(octets):
        return serial_nonin_df8.decode_bytes(octets, {})
    if not frames:
        raise DecodeError(f"Nonin: {len(octets)} bytes hold no whole packet of 25 frames")
    if counts.damaged_at is not None and counts.damaged_at < len(octets):
        raise DecodeError(
            f"Nonin: damaged at byte {counts.damaged_at}, {counts.damaged} damaged frames, "
            f"{len(frames)} whole packets"
        )
    readings = tuple(reading for frame in frames for reading in frame.readings)
    return readings, DeviceInfo(manufacturer="Nonin Medical")


def _packets(octets: bytes, *, is_format_7: bool) -> tuple[tuple[Frame, ...], FramerCounts]:
    """A Frame for each packet; the frames behind settle where the last one ends."""
    line = NoninFramer(is_format_7=is_format_7, packets=1)
    frames = line.feed(octets + (_BEHIND_7 if is_format_7 else _BEHIND_2))
    return frames, line.counts


class NoninFramer:
    """Framing state of one line: at most one packet and one undecided frame are kept.

    A frame counts when the frame after it is whole too, or when no other reading of the same
    bytes fits longer. So a lost byte costs the frame it was lost from and none after it, though a
    sum modulo 256 fits one place in 256 by chance.
    """

    def __init__(self, *, is_format_7: bool, packets: int = _PACKETS_A_SECOND) -> None:
        self._is_format_7 = is_format_7
        self._packets_a_report = packets
        self._status_at = 0 if is_format_7 else 1
        self._kept = b""
        self._packet = bytearray()
        self._second: list[bytes | None] = []  # packets, None for a broken one
        self._frames = 0
        self._damaged = 0
        self._skipped = 0
        self._skipped_in_row = 0
        self._passed = 0
        self._damaged_at: int | None = None

    @property
    def counts(self) -> FramerCounts:
        """What was received so far."""
        return FramerCounts(self._frames, self._damaged, self._skipped, self._damaged_at)

    def feed(self, octets: bytes) -> tuple[Frame, ...]:
        """Take the next bytes of the line; return a Frame for each second they complete."""
        held = self._kept + octets
        done: list[Frame] = []
        at = 0
        while len(held) - at >= 2 * _FRAME:
            whole = self._whole_frames(held, at)
            if whole >= 2:
                end = at + (whole - 1) * _FRAME
            elif len(held) - at < _LOOKAHEAD:
                break
            else:
                start, end = self._best_start(held, at)
                self._skip(self._passed + at, start - at)
                at = start
            if end > at:
                self._take(self._passed + at, held[at:end], done)
            at = end
        self._passed += at
        self._kept = held[at:]
        return tuple(done)

    def _whole_frames(self, held: bytes, at: int, most: int | None = None) -> int:
        """Count the frames in a row, from ``at``, that are whole."""
        there = (len(held) - at) // _FRAME
        view = memoryview(held)[at : at + _FRAME * (there if most is None else min(there, most))]
        count = 0
        for first, second, third, value, total in iter_unpack("5B", view):
            if (first + second + third + value) & 0xFF != total:
                break
            if (
                first < _ALWAYS_SET
                if self._is_format_7
                else second < _ALWAYS_SET or first != _START
            ):
                break
            count += 1
        return count

    def _best_start(self, held: bytes, at: int) -> tuple[int, int]:
        """Return (start, end) of the frame among the next 5 places that fits longest.

        Where none fits, both are the end of the 5 places: no frame starts in them.
        """
        chains = [
            self._whole_frames(held, at + place, _CHAIN)
            if held[at + place + self._status_at] >= _ALWAYS_SET
            else 0
            for place in range(_FRAME)
        ]
        longest = max(chains)
        if not longest:
            return at + _FRAME, at + _FRAME
        start = at + chains.index(longest)
        return start, start + _FRAME

    def _skip(self, place: int, octets: int) -> None:
        """Pass over octets; ``place`` is that of the first on the line."""
        if not octets:
            return
        self._note_damage(place)
        before = -(-self._skipped_in_row // _FRAME)
        self._skipped_in_row += octets
        self._damaged += -(-self._skipped_in_row // _FRAME) - before
        self._skipped += octets
        if self._packet:
            self._lose_packet(place)

    def _note_damage(self, place: int) -> None:
        if self._damaged_at is None:
            self._damaged_at = place

    def _lose_packet(self, place: int) -> None:
        """What was begun stays without its end: a place of its second is empty."""
        self._note_damage(place)
        self._packet.clear()
        self._second.append(None)

    def _take(self, place: int, run: bytes, done: list[Frame]) -> None:
        """Sort an unbroken run of frames into packets; add a Frame for each full second."""
        self._frames += len(run) // _FRAME
        self._skipped_in_row = 0
        firsts = run[self._status_at :: _FRAME].translate(_IS_FIRST)
        at, end = 0, len(run)
        while at < end:
            if not self._packet:
                first = firsts.find(1, at // _FRAME)
                if first < 0:
                    return
                at = first * _FRAME
            stop = min(at + _PACKET - len(self._packet), end)
            early = firsts.find(1, at // _FRAME + (not self._packet), stop // _FRAME)
            if early >= 0:
                at = early * _FRAME
                self._lose_packet(place + at)
            else:
                self._packet += run[at:stop]
                at = stop
            self._close(done)

    def _close(self, done: list[Frame]) -> None:
        if len(self._packet) == _PACKET:
            self._second.append(bytes(self._packet))
            self._packet.clear()
        count = self._packets_a_report
        if len(self._second) >= count:
            packets = self._second[:count]
            del self._second[:count]
            if any(packets):
                done.append(self._report(packets))

    def _report(self, packets: list[bytes | None]) -> Frame:
        whole = [packet for packet in packets if packet is not None]
        octets = b"".join(whole)
        flags = _flags(frozenset(octets[self._status_at :: _FRAME]))
        is_whole = len(whole) == len(packets)
        samples = (self._pleth(octets, 0),) if is_whole else tuple(self._samples(packets))
        reason = off_patient(flags)
        counting = whole if reason is None else [each for each in whole if not self._is_off(each)]
        if not counting:
            return Frame(_nonin_values.readings(flags, *_numbers(whole[-1]), reason), samples)
        spo2, pulse = zip(*map(_numbers, counting), strict=True)
        readings = partial(_nonin_values.readings, flags)
        return frame((spo2, pulse), _nonin_values.NO_VALUES, readings, samples)

    def _is_off(self, packet: bytes) -> bool:
        return bool(packet[self._status_at :: _FRAME].translate(None, _NOT_OFF))

    def _samples(self, packets: list[bytes | None]) -> Iterator[Samples]:
        """Yield one Samples for each unbroken run of packets."""
        run = bytearray()
        for place, packet in enumerate([*packets, None]):
            if packet is not None:
                run += packet
            elif run:
                first = place * _SAMPLES_A_PACKET - len(run) // _FRAME
                yield self._pleth(bytes(run), first)
                run.clear()

    def _pleth(self, frames: bytes, first: int) -> Samples:
        samples = bytearray(2 * len(frames) // _FRAME)
        if self._is_format_7:
            samples[0::2] = frames[2::_FRAME]
            samples[1::2] = frames[1::_FRAME].translate(_SIGN_BIT_FLIPPED)  # u16 - 32768
        else:
            samples[0::2] = frames[2::_FRAME]
        origin = 1 << 15 if self._is_format_7 else 0
        return Samples("pleth_waveform", "1", _RATE_MHZ, first, origin, bytes(samples))


def _numbers(packet: bytes) -> tuple[int, int]:
    """SpO2 and pulse rate of a packet: in its third frame, and in its first and second."""
    high, low, spo2 = packet[_VALUE_AT : 3 * _FRAME : _FRAME]
    return spo2 & 0x7F, (high & 0b11) << 7 | low & 0x7F


@lru_cache(maxsize=1024)
def _flags(statuses: frozenset[int]) -> int:
    flags = 0
    for mask, bits, flag in _STATUS_FLAGS:
        if any(status & mask == bits for status in statuses):
            flags |= int(flag)
    return flags
