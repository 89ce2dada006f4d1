"""Device sessions: from what a transport brings to records in the outbox."""

__all__: list[str] = []
