"""From a broker message to one committed transaction and its acknowledgement."""

__all__: list[str] = []
