"""An emulated ESPHome Bluetooth proxy: the native API on TCP, and devices in its radio range.

Needs the extra ``esphome``, whose message types it speaks with; nothing else of the lab does.
"""
