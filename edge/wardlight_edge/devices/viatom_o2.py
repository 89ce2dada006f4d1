"""Viatom and Wellue O2Ring, Checkme O2: live values, and the files they store.

In      0734594A-A8E7-4B1A-A6B1-CD5243059A57, a reply: see _viatom_frames. The assembler joins the
        notifications of a reply. The data of a live reply are 13 octets: SpO2, pulse rate,
        5 unused, battery %, charging, motion, signal strength, finger, 1 unused
        "vld-file", a stored file of version 3: see _viatom_record
Out     spo2 in % and pulse_rate_oximeter in /min. Without a finger SENSOR_OFF; SpO2 255, 127 and
        pulse rate 255 are NOT_MEASURED, SpO2 over 100 INVALID. Live: battery, motion and
        strength are context, for what they count is not documented. Stored: each record with its
        time and FROM_STORAGE; a record that is marked invalid is INVALID
        (): a reply to another request
Errors  DecodeError: no reply, a wrong CRC, the ring refused; a file of another version, with half
        a record, or whose duration or size does not fit the number of its records
Options files = true: its files are fetched too while no finger is in it; see _viatom_files
Source  MackeyStingray/o2r (o2pkt.py, o2state.py, o2file.py): frames and recorded live data
Vectors tests/vectors/viatom_o2.toml
"""

from collections.abc import Callable, Mapping
from struct import Struct
from typing import Final

from wardlight_edge.devices._asking import Asking
from wardlight_edge.devices._base import Options
from wardlight_edge.devices._dialogue import Bookmarks, Dialogue
from wardlight_edge.devices._gatt import decode_value
from wardlight_edge.devices._options import check_options, flag
from wardlight_edge.devices._viatom_files import RingFiles
from wardlight_edge.devices._viatom_frames import (
    REPLY,
    WRITE,
    ReplyAssembler,
    ask_live,
    reply_of,
)
from wardlight_edge.devices._viatom_record import FILE, pair, records_of
from wardlight_shared.errors import DecodeError
from wardlight_shared.model import Absent, Flag, Reading

_LIVE: Final = Struct("<BB5xBBBBBx")
_ASK_EVERY_MS: Final = 2000  # as o2r does
_FILES: Final = "files"

CONTROL_POINTS: Final = frozenset({REPLY})
"""A profile that subscribes it has the ring asked for its live values."""


def _reply(value: bytes) -> tuple[Reading, ...]:
    reply = reply_of(value)
    if reply.result:
        raise DecodeError(f"{REPLY}: the ring refused with code {reply.result}")
    return _live(reply.data) if len(reply.data) == _LIVE.size else ()


def _live(data: bytes) -> tuple[Reading, ...]:
    spo2, pulse, battery, charging, motion, strength, finger = _LIVE.unpack(data)
    is_off = not finger
    context = (
        ("battery-percent", str(battery)),
        ("charging", "yes" if charging else "no"),
        ("motion", str(motion)),
        ("signal-strength", str(strength)),
    )
    flags = int(Flag.SENSOR_OFF) if is_off else 0
    return pair(spo2, pulse, Absent.SENSOR_OFF if is_off else None, None, flags, context)


def _file(value: bytes) -> tuple[Reading, ...]:
    return tuple(reading for record in records_of(value) for reading in record.readings)


CHARACTERISTICS: Final[Mapping[str, Callable[[bytes], tuple[Reading, ...]]]] = {
    REPLY: _reply,
    FILE: _file,
}


def decode(characteristic: str, value: bytes) -> tuple[Reading, ...]:
    """Decode one whole reply or file."""
    return decode_value(CHARACTERISTICS, characteristic, value)


def dialogue(options: Options, bookmarks: Bookmarks) -> Dialogue:
    """Make the dialogue that asks for the live values, and for the files where they are wanted."""
    check_options("viatom_o2", options, frozenset({_FILES}))
    if flag(options, _FILES, default=False):
        return RingFiles(bookmarks, _ASK_EVERY_MS)
    return Asking(WRITE, ask_live(), every_ms=_ASK_EVERY_MS)


def assembler() -> ReplyAssembler:
    """Make the assembler of one link."""
    return ReplyAssembler()
