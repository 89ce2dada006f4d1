"""E2E-CRC: the check of a value by whoever measured it, at its end where the device supports it.

CRC-16/MCRF4XX: polynomial 0x1021 reflected, initial value 0xFFFF, no final xor, little endian.

Errors  DecodeError: another length, a wrong CRC
Source  Bluetooth CGMS 1.0.2, 3.11
"""

from binascii import crc_hqx
from typing import Final

from wardlight_shared.errors import DecodeError

CRC_LENGTH: Final = 2
_INITIAL: Final = 0xFFFF
_MIRRORED: Final = bytes(int(f"{octet:08b}"[::-1], 2) for octet in range(256))


def crc16(octets: bytes) -> int:
    """CRC-16/MCRF4XX of octets."""
    # The same polynomial, high bit first, of mirrored octets; and the result mirrored.
    crc = crc_hqx(octets.translate(_MIRRORED), _INITIAL)
    return _MIRRORED[crc & 0xFF] << 8 | _MIRRORED[crc >> 8]


def with_crc(octets: bytes) -> bytes:
    """Octets and their CRC."""
    return octets + crc16(octets).to_bytes(CRC_LENGTH, "little")


def without_crc(name: str, value: bytes, length: int) -> tuple[bytes, bool]:
    """Return the ``length`` octets of a value, and whether a CRC (a right one) was behind them."""
    if len(value) == length:
        return value, False
    if len(value) != length + CRC_LENGTH:
        both = f"{length}, or {length + CRC_LENGTH} with a CRC"
        raise DecodeError(f"{name}: {len(value)} bytes, its flags ask for {both}")
    if crc16(value[:length]) != int.from_bytes(value[length:], "little"):
        raise DecodeError(f"{name}: wrong E2E-CRC")
    return value[:length], True
