"""SMART App Launch: tokens for backend services and for apps that users open."""

__all__: list[str] = []
