"""The measurements behind `make bench`; docs/benchmarks.md tells the method of each."""

__all__: list[str] = []
