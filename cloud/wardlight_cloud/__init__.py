"""The collector side: ingest, store, FHIR, DICOMweb, alarms and dashboard."""

__all__: list[str] = []
