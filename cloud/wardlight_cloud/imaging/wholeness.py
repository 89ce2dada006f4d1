"""Refuses the file of a data set of which something is missing.

In      a file that stands where its data set begins, and the transfer syntax of the octets there
Errors  HeaderError "cut"
"""

import io
from typing import BinaryIO, Final

from pydicom.datadict import dictionary_VR

from wardlight_cloud.imaging.errors import HeaderError
from wardlight_shared.data_set_end import DataSetEnd, NotWhole

_PIECE: Final = 64 * 1024


def check_whole(file: BinaryIO, syntax: str) -> None:
    """Read from here to the end, but for long values; lengths are looked at to every depth."""
    end = DataSetEnd(syntax, is_sequence=_is_sequence)
    place = file.tell()
    size = file.seek(0, io.SEEK_END)
    file.seek(place)
    try:
        while octets := file.read(_PIECE):
            place += len(octets)
            end.add(octets)
            if passed := min(end.ahead, size - place):
                end.pass_over(passed)
                place = file.seek(passed, io.SEEK_CUR)
        end.end()
    except NotWhole as error:
        raise HeaderError("cut", f"the file is cut off, or damaged: {error}") from None


def _is_sequence(tag: int, vr: bytes) -> bool:
    if vr and vr != b"UN":
        return vr == b"SQ"
    if tag >> 16 & 1:
        return False
    try:
        return dictionary_VR(tag) == "SQ"
    except KeyError:
        return False
