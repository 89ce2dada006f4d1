"""Resources that EHRs and apps write: kept as they are, with versions, found by an index."""
