"""Alarm rules, server-side timers and escalation."""

__all__: list[str] = []
