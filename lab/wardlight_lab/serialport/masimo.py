"""Masimo ASCII 1 lines, one a second, as a Rad-8 prints them.

Source  output of a Rad-8 quoted in public loggers
"""

from datetime import datetime
from decimal import Decimal


def line(spo2: int, pulse: int, perfusion: Decimal, at: datetime) -> bytes:
    """One line with its end."""
    text = (
        f"{at:%m/%d/%y %H:%M:%S} SN=0000056661 SPO2={spo2:03}% BPM={pulse:03} "
        f"PI={perfusion:05.2f}% SPCO=--.-% SPMET=--.-% DESAT=-- PIDELTA=+-- "
        "ALARM=0000 EXC=000800\r\n"
    )
    return text.encode("ascii")
