"""Marks that tell peers apart in a log that must not carry what they call themselves."""

import hashlib


def ae_mark(ae_title: str) -> str:
    """The same mark for the same AE title."""
    return hashlib.sha256(ae_title.encode()).hexdigest()[:8]
