"""Whether the kernel's clock is synchronised, and how wrong it may be.

Source  adjtimex(2): status bit STA_UNSYNC (0x0040), field maxerror in microseconds
"""

import ctypes
from typing import Final

_STA_UNSYNC: Final = 0x0040
_TIME_ERROR: Final = 5
_BUFFER: Final = 256  # struct timex has 208 bytes on 64-bit and 128 on 32-bit Linux
_LONG: Final = ctypes.sizeof(ctypes.c_long)


def kernel_clock() -> int | None:
    """Bound of the error in ms; None when the clock is not synchronised or cannot be asked."""
    try:
        adjtimex = ctypes.CDLL(None, use_errno=True).adjtimex
    except (OSError, AttributeError):
        return None
    buffer = (ctypes.c_char * _BUFFER)()
    state = adjtimex(buffer)
    if state in (-1, _TIME_ERROR):
        return None
    # modes (unsigned, padded to a long), offset, freq, maxerror, esterror, status (int)
    status = ctypes.c_int.from_buffer(buffer, 5 * _LONG).value
    maxerror_us = ctypes.c_long.from_buffer(buffer, 3 * _LONG).value
    if status & _STA_UNSYNC:
        return None
    return max(1, -(-maxerror_us // 1000))
