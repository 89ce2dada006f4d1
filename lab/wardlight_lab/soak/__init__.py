"""A day of twenty devices in minutes: sessions, outbox and uplink under a stepped clock."""
