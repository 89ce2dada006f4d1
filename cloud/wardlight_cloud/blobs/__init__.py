"""Blobs of gateways over HTTPS: the face for sites that let images out that way only."""

__all__: list[str] = []
