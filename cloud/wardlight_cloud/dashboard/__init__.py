"""The clinicians' pages: patient list, patient with live trends, operations. No build step."""

__all__: list[str] = []
