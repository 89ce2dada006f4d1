"""Serial devices without hardware: pseudo-terminals that play a line byte by byte, with faults."""

from wardlight_lab.serialport.nonin import Format, Oximetry, packet
from wardlight_lab.serialport.oximeter import NoninOximeter
from wardlight_lab.serialport.player import Disturbance, Fault, Player
from wardlight_lab.serialport.pty_port import PtyPort

__all__ = [
    "Disturbance",
    "Fault",
    "Format",
    "NoninOximeter",
    "Oximetry",
    "Player",
    "PtyPort",
    "packet",
]
