"""FHIR R4 resources built from stored columns."""

__all__: list[str] = []
