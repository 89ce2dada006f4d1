"""The pages a clinician looks at."""

__all__: list[str] = []
