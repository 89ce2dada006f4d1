"""Time series, ledger and objects behind Protocols; the engines live below."""

__all__: list[str] = []
