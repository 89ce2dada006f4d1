"""The proof harness: kill and cut at random under load, then compare ledger and store."""

__all__: list[str] = []
