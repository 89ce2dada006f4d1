"""The live feed: newest readings to browsers over server-sent events, from any API worker."""

__all__: list[str] = []
