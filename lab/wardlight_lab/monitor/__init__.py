"""A bedside monitor without hardware: sends HL7 v2 ORU^R01 over MLLP as IHE PCD-01 words it."""

from wardlight_lab.monitor.message import Vitals, framed, oru
from wardlight_lab.monitor.sender import MonitorSender

__all__ = ["MonitorSender", "Vitals", "framed", "oru"]
