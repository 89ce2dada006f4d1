"""Repairs: a value as a quirky model sends it, into the form of its specification. Pure, total.

Each takes any bytes and raises nothing. A value that does not have the habit is returned as it
came; the decoder then judges it. quirks.toml says which model needs which, and its source.
"""

from collections.abc import Callable, Mapping
from typing import Final

_HAS_TIME, _HAS_PULSE, _HAS_USER, _HAS_STATUS = 0b00010, 0b00100, 0b01000, 0b10000


def _user_without_flag_big_endian_tail(value: bytes) -> bytes:
    """0x2A35 with a user index that no flag tells of; pulse and status have their high byte first.

    Known by its length, one byte more than its flags ask for: firmware that keeps to the
    specification is left alone.
    """
    flags = value[0] if value else 0
    pulse_at = 7 + 7 * bool(flags & _HAS_TIME)
    user_at = pulse_at + 2 * bool(flags & _HAS_PULSE)
    if flags & _HAS_USER or len(value) != user_at + 1 + 2 * bool(flags & _HAS_STATUS):
        return value
    pulse, user, status = (
        value[pulse_at:user_at],
        value[user_at : user_at + 1],
        value[user_at + 1 :],
    )
    head = bytes((flags | _HAS_USER,)) + value[1:pulse_at]
    return head + pulse[::-1] + user + status[::-1]


REPAIRS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "bls-user-without-flag-big-endian-tail": _user_without_flag_big_endian_tail,
}
"""Name in quirks.toml to function."""
