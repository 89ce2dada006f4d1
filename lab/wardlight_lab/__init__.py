"""Emulated devices, demo, fleet simulator, chaos harness and benchmarks; never in production."""

__all__: list[str] = []
