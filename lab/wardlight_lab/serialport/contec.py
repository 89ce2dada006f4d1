"""Contec CMS50 frames of both generations, as the devices send them 60 times a second.

Source  atbrask/CMS50Dplus (first generation); headrotor's capture (4.6 and newer)
"""

FRAMES_A_SECOND = 60
_STRENGTH = 5


def first_generation(spo2: int, pulse: int, wave: int) -> bytes:
    """5 bytes: bit 7 on the first alone; bit 7 of the pulse rate lies in the third."""
    bar = (pulse >> 7 & 1) << 6 | 5
    return bytes((0x80 | _STRENGTH, wave & 0x7F, bar, pulse & 0x7F, spo2 & 0x7F))


def version_4_6(spo2: int, pulse: int, wave: int) -> bytes:
    """9 bytes: bit 7 off on the first alone; the second holds bit 7 of the others."""
    values = (_STRENGTH, wave & 0x7F, 0x16, pulse, spo2, 0xFF, 0xFF)
    highs = sum((value >> 7 & 1) << place for place, value in enumerate(values))
    return bytes((0x01, 0x80 | highs, *(0x80 | value for value in values)))
