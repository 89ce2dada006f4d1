"""Masimo ASCII 1: Rad-8, Rad-57, Rad-87, Radical-7, one line of text a second.

In      9600 8N1, lines ended by CR LF, read by key, never by place:
        02/22/16 22:47:45 SN=0000056661 SPO2=098% BPM=097 PI=03.60% ... ALARM=0000 EXC=000800
        date mm/dd/yy; ALARM and EXC in hex, of 3 to 8 digits by model
Out     one Frame a line: spo2 in %, pulse_rate_oximeter in /min, perfusion_index in % where PI is
        sent; --- is NOT_MEASURED. The device's time as sent
        EXC: 1 no sensor, 2 defective sensor, 4 low perfusion, 8 pulse search, 10 interference,
        20 sensor off, 40 ambient light, 80 unknown sensor, 400 low signal quality; with the sensor
        off or missing the numbers are withheld as SENSOR_OFF, with a defective or unknown one as
        SENSOR_FAULT (_oximetry). ALARM 1 to 8: a limit of the device
Errors  none from bytes: a line that lacks a character, or holds one too many, is counted as damaged
        (its fields have fixed widths); ConfigError for any option
Source  lines of a Rad-8 in public repositories (chrishamm's and others' loggers), bit meanings as
        in a public Elixir driver for the Rad-8
Vectors tests/vectors/serial_masimo.toml
"""

import re
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Final

from wardlight_edge.devices._base import Frame, FramerCounts, Options
from wardlight_edge.devices._gatt import CLOCK_UNSET, Number, nonzero, number
from wardlight_edge.devices._options import check_options
from wardlight_edge.devices._oximetry import off_patient
from wardlight_shared.errors import DecodeError
from wardlight_shared.model import Absent, DeviceInfo, DeviceTime, Flag, Reading

MAX_LINE: Final = 512
_DATE: Final = rb"\d\d/\d\d/\d\d \d\d:\d\d:\d\d"
_BEGIN: Final = re.compile(_DATE + b" ")
_FIELDS_AT: Final = len("mm/dd/yy hh:mm:ss")
_LINE: Final = re.compile(_DATE + rb"(?: [A-Z][A-Z0-9]{1,7}=[!-~]{1,12})+ *\Z")
_FIELD: Final = re.compile(rb" ([A-Z][A-Z0-9]{1,7})=([!-~]{1,12})")
_SPO2: Final = b"SPO2"
_ALWAYS: Final = {_SPO2, b"BPM"}
# Metric, unit, and the widths that its text may have.
_VITALS: Final = {
    _SPO2: ("spo2", "%", re.compile(rb"(?:\d{3}|---)%\Z")),
    b"BPM": ("pulse_rate_oximeter", "/min", re.compile(rb"(?:\d{3}|---)\Z")),
    b"PI": ("perfusion_index", "%", re.compile(rb"(?:\d\d\.\d\d|--\.--|---)%?\Z")),
}
_MASK: Final = re.compile(rb"[0-9A-Fa-f]{3,8}\Z")
_SERIAL_NUMBER: Final = re.compile(rb" SN=(\w{1,16}) ")
_CENTURY: Final = 2000
_LIMITS: Final = 0x0F
_EXCEPTIONS: Final = (
    (0x001, Flag.SENSOR_OFF),
    (0x002, Flag.SENSOR_FAULT),
    (0x004, Flag.LOW_PERFUSION),
    (0x008, Flag.SIGNAL_POOR),
    (0x010, Flag.SIGNAL_POOR),
    (0x020, Flag.SENSOR_OFF),
    (0x040, Flag.SIGNAL_POOR),
    (0x080, Flag.SENSOR_FAULT),
    (0x400, Flag.SIGNAL_POOR),
)
_NO_NUMBER: Final = b"-"
_SPO2_FULL: Final = 100


class MasimoFramer:
    """Framing state of one line: at most MAX_LINE bytes are kept."""

    def __init__(self) -> None:
        self._kept = b""
        self._is_cut = False
        self._frames = 0
        self._damaged = 0
        self._skipped = 0

    @property
    def counts(self) -> FramerCounts:
        """What was received so far."""
        return FramerCounts(self._frames, self._damaged, self._skipped)

    def feed(self, octets: bytes) -> tuple[Frame, ...]:
        """Take the next bytes; return a Frame for each whole line."""
        *lines, rest = (self._kept + octets).replace(b"\r", b"\n").split(b"\n")
        done = [frame for line in lines if line and (frame := self._line(line)) is not None]
        if len(rest) > MAX_LINE:
            self._skipped += len(rest) - MAX_LINE
            self._is_cut = True
            rest = rest[-MAX_LINE:]  # the next good line may have begun in it
        self._kept = rest
        return tuple(done)

    def _line(self, line: bytes) -> Frame | None:
        frame = _frame(line)
        if frame is not None and not self._is_cut:
            self._frames += 1
            return frame
        if not line.strip() and not self._is_cut:
            return None
        return self._after_damage(line)

    def _after_damage(self, line: bytes) -> Frame | None:
        """A line whose beginning is not its own: a good one may have run into a damaged one."""
        self._is_cut = False
        self._damaged += 1
        begins = [found.start() for found in _BEGIN.finditer(line)]
        start = begins[-1] if begins else len(line)
        frame = _frame(line[start:])
        self._frames += frame is not None
        self._skipped += start if frame is not None else len(line)
        return frame


def _frame(line: bytes) -> Frame | None:
    """The readings of a whole line; None when it is none."""
    found = _LINE.match(line)
    if found is None:
        return None
    fields = _FIELD.findall(line, _FIELDS_AT)
    values = dict(fields)
    if len(values) != len(fields):
        return None
    flags = _flags(values.get(b"ALARM"), values.get(b"EXC"))
    if flags is None or not values.keys() >= _ALWAYS:
        return None
    reason = off_patient(flags)
    time, unset = _time(line)
    readings = []
    for key, (metric, unit, _) in _VITALS.items():
        if key in values:
            vital = _vital(key, values[key], reason)
            if vital is None:
                return None
            value, raw, raw_unit = vital
            readings.append(Reading(metric, value, unit, raw, raw_unit, time, flags | unset))
    return Frame(tuple(readings))


def framer(options: Options) -> MasimoFramer:
    """Make the framer of one line."""
    check_options("serial_masimo", options)
    return MasimoFramer()


def decode_bytes(octets: bytes, options: Options) -> tuple[tuple[Reading, ...], DeviceInfo]:
    """Decode lines; the last one needs no end."""
    line, at, damaged_at = framer(options), 0, None
    frames: list[Frame] = []
    for sent in (octets + b"\r\n").splitlines(keepends=True):
        frames += line.feed(sent)
        if line.counts.damaged and damaged_at is None:
            damaged_at = at
        at += len(sent)
    if not frames or damaged_at is not None:
        where = "" if damaged_at is None else f"damaged at byte {damaged_at}, "
        raise DecodeError(
            f"Masimo: {where}{line.counts.damaged} damaged lines, {len(frames)} whole"
        )
    readings = tuple(reading for frame in frames for reading in frame.readings)
    number_sent = _SERIAL_NUMBER.search(octets)
    serial_number = number_sent[1].decode("ascii") if number_sent else None
    return readings, DeviceInfo(manufacturer="Masimo", serial_number=serial_number)


@lru_cache(maxsize=1024)
def _flags(alarm: bytes | None, exc: bytes | None) -> int | None:
    """The status as flags; None without EXC or where one has no such width."""
    if exc is None or not _MASK.match(exc) or not (alarm is None or _MASK.match(alarm)):
        return None
    exceptions = int(exc, 16)
    flags = int(Flag.DEVICE_ALARM) * bool(int(alarm or b"0", 16) & _LIMITS)
    for mask, flag in _EXCEPTIONS:
        flags |= int(flag) * bool(exceptions & mask)
    return flags


@lru_cache(maxsize=4096)
def _vital(key: bytes, text: bytes, reason: Absent | None) -> Number | None:
    """What a field of the line says, withheld for ``reason``; None where its width is wrong."""
    _, unit, width = _VITALS[key]
    if not width.match(text):
        return None
    if text.startswith(_NO_NUMBER):
        return reason or Absent.NOT_MEASURED, None, None
    sent = Decimal(text.decode("ascii").rstrip("%"))
    if key == _SPO2 and sent > _SPO2_FULL:
        reason = reason or Absent.INVALID
    return nonzero(sent, unit) if reason is None else number(sent, unit, reason)


def _time(line: bytes) -> tuple[DeviceTime | None, int]:
    """Return (device time, flags); a date no calendar has is no time."""
    month, day, year = int(line[0:2]), int(line[3:5]), _CENTURY + int(line[6:8])
    hour, minute, second = int(line[9:11]), int(line[12:14]), int(line[15:17])
    try:
        datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 - a check of ranges
    except ValueError:
        return None, CLOCK_UNSET
    return DeviceTime(year, month, day, hour, minute, second), 0
