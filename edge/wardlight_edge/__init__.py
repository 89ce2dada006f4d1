"""The gateway: devices, outbox, uplink and imaging at the bedside."""

__all__: list[str] = []
