"""Streams folded into blocks: pure, no clock and no outbox; the session decides when."""

from wardlight_edge.streams.folder import Block, Folder
from wardlight_edge.streams.waveforms import Waveform, WaveformFolder

__all__ = ["Block", "Folder", "Waveform", "WaveformFolder"]
