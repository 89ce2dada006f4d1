"""Enrolling devices: who is known, by whom, and the window in which an operator pairs one."""

__all__: list[str] = []
