"""The demo: the whole system in one data folder, with emulated devices and a real gateway."""

__all__: list[str] = []
