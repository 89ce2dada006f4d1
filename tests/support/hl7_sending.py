"""HL7 v2 out from a ward without an API to a receiver."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from support.mllp_receiver import MllpReceiver
from support.served_ward import Ward
from wardlight_cloud.hl7.messages import Parties
from wardlight_cloud.hl7.mllp import Address
from wardlight_cloud.hl7.sender import Destination, Hl7Sender
from wardlight_cloud.store.hl7_out import Hl7Status


def destination(receiver: MllpReceiver, **more: Any) -> Destination:
    address = Address("127.0.0.1", receiver.port, answer_s=1.0)
    return Destination("ehr", address, Parties(receiving_application="EHR"), **more)


@asynccontextmanager
async def sending(ward: Ward, receiver: MllpReceiver, **more: Any) -> AsyncIterator[None]:
    """A sender that is quick to try again."""
    await ward.store.hl7_progress("ehr")  # it begins here
    sender = Hl7Sender(ward.store, destination(receiver, **more), try_s=0.2, first_pause_s=0.1)
    task = asyncio.create_task(sender.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def status(ward: Ward) -> Hl7Status:
    (found,) = await ward.store.hl7_status()
    return found


async def has_settled(ward: Ward) -> bool:
    found = await status(ward)
    return found.waiting == 0 and found.behind == 0
