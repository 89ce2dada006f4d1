"""Imaging at the gateway: the DICOM service class provider and its spool."""

__all__: list[str] = []
