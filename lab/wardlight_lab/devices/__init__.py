"""Emulated Bluetooth devices: each encodes its own values and keeps a ledger of what it sent."""

from wardlight_lab.devices.blood_pressure_cuff import BloodPressureCuff
from wardlight_lab.devices.cgm_sensor import CgmSensor
from wardlight_lab.devices.emulated import EmulatedDevice, Equipment, Identity, identity_of
from wardlight_lab.devices.encoding import DeviceClock, Special
from wardlight_lab.devices.glucose_meter import GlucoseMeter
from wardlight_lab.devices.heart_rate_strap import HeartRateStrap
from wardlight_lab.devices.ledger import Entry, Ledger, read_ledger
from wardlight_lab.devices.patient import Baseline, PatientVitals
from wardlight_lab.devices.pulse_oximeter import PulseOximeter, SpotPulseOximeter
from wardlight_lab.devices.record_access import Access
from wardlight_lab.devices.stored_oximeter import StoredOximeter
from wardlight_lab.devices.stored_records import Habit, Record
from wardlight_lab.devices.thermometer import Thermometer
from wardlight_lab.devices.weight_scale import WeightScale
from wardlight_lab.physiology.beats import Beats

__all__ = [
    "Access",
    "Baseline",
    "Beats",
    "BloodPressureCuff",
    "CgmSensor",
    "DeviceClock",
    "EmulatedDevice",
    "Entry",
    "Equipment",
    "GlucoseMeter",
    "Habit",
    "HeartRateStrap",
    "Identity",
    "Ledger",
    "PatientVitals",
    "PulseOximeter",
    "Record",
    "Special",
    "SpotPulseOximeter",
    "StoredOximeter",
    "Thermometer",
    "WeightScale",
    "identity_of",
    "read_ledger",
]
