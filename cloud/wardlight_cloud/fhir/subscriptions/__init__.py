"""FHIR Subscriptions: what changed is told, in order, to who may see it (docs/subscriptions.md)."""
