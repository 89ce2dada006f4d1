"""DICOMweb services: STOW-RS, QIDO-RS and WADO-RS."""

__all__: list[str] = []
