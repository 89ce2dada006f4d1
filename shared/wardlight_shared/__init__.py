"""The pure vocabulary of Wardlight: values, codes, wire format, topics, profiles; no I/O."""

__all__ = ["__version__"]

__version__ = "0.1.0"
