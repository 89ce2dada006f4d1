"""Tokens, scopes and audit."""

__all__: list[str] = []
