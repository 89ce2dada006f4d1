"""``wardlight-cloud``: run the cloud's processes, keep its register, ask its ledger."""

from wardlight_cloud.cli.command import main

__all__ = ["main"]
