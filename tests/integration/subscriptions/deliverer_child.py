"""A process that only delivers notices, to be killed: DSN and seconds of a lease as arguments."""

import asyncio
import sys
from pathlib import Path

from wardlight_cloud.config import Settings
from wardlight_cloud.fhir.subscriptions.ports import Bounds
from wardlight_cloud.fhir.subscriptions.running import Subscriptions
from wardlight_cloud.store.open import open_store


async def main(dsn: str, lease_s: float) -> None:
    settings = Settings.model_validate({"data_dir": Path(), "database": {"dsn": dsn}})
    store = await open_store(settings)
    bounds = Bounds(on_this_machine=True)
    async with Subscriptions(store, bounds, begin_s=0.0, lease_s=lease_s):
        await asyncio.Event().wait()


asyncio.run(main(sys.argv[1], float(sys.argv[2])))
