"""Whether the log (``-wal``) of an outbox file is what SQLite wrote.

SQLite reads a log up to the first frame whose checksum is wrong and takes the rest for what a
crash left half written: damage in the middle silently takes back what was committed behind it.
There it is told from a crash: a transaction that was under way has no commit of its own behind
the place. (A power cut may leave one on the disk before what belongs in front of it; that looks
like damage, and all that follows is a new epoch.)

Source  https://www.sqlite.org/fileformat2.html section 4 (WAL header, frames, checksums)
"""

from pathlib import Path
from struct import unpack, unpack_from
from typing import Final

from wardlight_edge.outbox.database import PAGE_BYTES

LOG_HEADER_BYTES: Final = 32  # 4.1: salts at 16, checksum at 24
FRAME_HEADER_BYTES: Final = 24  # 4.1: page, size after a commit (0 = none), salts at 8, checksum
_FRAME_BYTES: Final = FRAME_HEADER_BYTES + PAGE_BYTES
_BIG_ENDIAN: Final = 0x377F0683  # 4.1: byte order of the checksums
_MAGICS: Final = {0x377F0682, _BIG_ENDIAN}
_WORD: Final = 0xFFFFFFFF

_Sums = tuple[int, int]


def is_log_damaged(log: Path, least_bytes: int) -> bool:
    """Whether the log lacks what was committed; ``least_bytes``: its size of once."""
    try:
        content = log.read_bytes()
    except FileNotFoundError:
        return least_bytes > 0
    if len(content) < least_bytes:
        return True
    if len(content) <= LOG_HEADER_BYTES:
        return False
    order = ">" if unpack_from(">I", content)[0] == _BIG_ENDIAN else "<"
    sums = _added((0, 0), content[:24], order)
    if unpack_from(">I", content)[0] not in _MAGICS or sums != unpack_from(">II", content, 24):
        return True
    return _has_commit_behind_damage(content, sums, order)


def _has_commit_behind_damage(content: bytes, sums: _Sums, order: str) -> bool:
    salts = content[16:24]
    is_whole = True
    for at in range(LOG_HEADER_BYTES, len(content) - _FRAME_BYTES + 1, _FRAME_BYTES):
        is_of_round = content[at + 8 : at + 16] == salts
        if is_whole:
            sums = _added(sums, content[at : at + 8], order)
            page = content[at + FRAME_HEADER_BYTES : at + _FRAME_BYTES]
            sums = _added(sums, page, order)
            is_whole = is_of_round and sums == unpack_from(">II", content, at + 16)
        elif is_of_round and any(content[at + 4 : at + 8]):
            return True
    return False


def _added(sums: _Sums, octets: bytes, order: str) -> _Sums:
    """Checksum over a whole number of pairs of words (4.2)."""
    first, second = sums
    words = iter(unpack(f"{order}{len(octets) // 4}I", octets))
    for even, odd in zip(words, words, strict=True):
        first = (first + even + second) & _WORD
        second = (second + odd + first) & _WORD
    return first, second
