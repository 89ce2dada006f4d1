"""HL7 v2 out: readings as ORU^R01 over MLLP, for systems without FHIR (docs/hl7-out.md)."""
