"""Delivery of the outbox to the collector, acknowledged by its database."""

__all__: list[str] = []
