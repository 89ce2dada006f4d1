"""DIMSE of the cloud: query/retrieve and forwarding for systems on the LAN side."""

__all__: list[str] = []
