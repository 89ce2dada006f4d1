"""Decoders without I/O: one file for each device family, named by the profiles."""

__all__: list[str] = []
