"""Whether a data set that is being received comes to its end.

In      fragments of a data set as they come, and the transfer syntax
Out     nothing: ``end`` returns for one that is whole, as far as its lengths tell
Errors  NotWhole: it is cut off, or an element is longer than what it is in; NoStudy: it has no
        Study or Series Instance UID, or one that is none

A modality that read its own file to a bad end sends the rest of it as if it were all; "success"
would let it delete what nobody has. Values are passed over, so most fragments cost a comparison; of
a deflated data set only so much is inflated. What is not judged here is judged in the cloud, whose
receipt then says that the file was set aside. What the cloud is certain to set aside is refused
here: a modality that asks for no commitment deletes its copy with "success".
"""

import zlib
from typing import Final

from wardlight_shared.data_set_end import DataSetEnd, NotWhole
from wardlight_shared.errors import DecodeError
from wardlight_shared.transfer_syntaxes import DEFLATED
from wardlight_shared.uids import SERIES_UID, STUDY_UID, lacking

_HEADS_MOST: Final = 1 << 20
_INFLATED_MOST: Final = 64 * 1024 * 1024
_PIECE: Final = 64 * 1024


class NoStudy(DecodeError):
    """An object that cannot be put into any study."""


class Ending:
    """The lengths of one data set."""

    def __init__(self, transfer_syntax: str) -> None:
        self._end = DataSetEnd(
            transfer_syntax, heads_most=_HEADS_MOST, noted=frozenset({STUDY_UID, SERIES_UID})
        )
        self._inflate = zlib.decompressobj(-15) if transfer_syntax in DEFLATED else None
        self._left = _INFLATED_MOST

    def add(self, octets: memoryview) -> None:
        """Take the next fragment."""
        if self._inflate is None:
            self._end.add(octets)
            return
        rest: bytes | memoryview = octets
        try:
            while rest and self._left > 0 and not self._inflate.eof:
                inflated = self._inflate.decompress(rest, _PIECE)
                self._left -= len(inflated)
                self._end.add(inflated)
                rest = self._inflate.unconsumed_tail
        except zlib.error:
            raise NotWhole("a data set that is not deflated as it should be") from None

    def end(self) -> None:
        """There are no more fragments."""
        if self._inflate is not None:
            if self._left <= 0:
                return
            self._end.add(self._inflate.flush())
            if not self._inflate.eof:
                raise NotWhole("a deflated data set that does not end")
        self._end.end()
        values = self._end.values
        name = None if values is None else lacking(values)
        if name is not None:
            raise NoStudy(f"{name} is missing or no UID")
