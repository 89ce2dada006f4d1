"""The local status page on 127.0.0.1 and its text form for the terminal."""

__all__: list[str] = []
