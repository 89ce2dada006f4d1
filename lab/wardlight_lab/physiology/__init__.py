"""Recorded physiology: heart beats from an ECG, glucose of people who wore a sensor."""
