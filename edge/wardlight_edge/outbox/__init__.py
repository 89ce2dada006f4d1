"""The durable queue: a record is accepted only once it is on this disk."""

__all__: list[str] = []
