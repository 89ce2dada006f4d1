"""kill -9 of a deliverer between sending and noting it: the event comes again, none is left out."""

import asyncio
import sys
from pathlib import Path

from support.notice_receiver import OK, SILENT, Receiver
from support.readings import One
from support.served_ward import ANNA, CUFF, MINUTE, START, Ward
from support.stored_resources import writing_client
from support.subscribed_ward import extension, is_in, subscribed, subscription
from support.waiting import wait_until
from wardlight_cloud.fhir.subscriptions.ports import Bounds
from wardlight_cloud.fhir.subscriptions.running import Subscriptions

CHILD = Path(__file__).with_name("deliverer_child.py")
LEASE_S = "2"
LIMIT_S = 60


async def test_another_process_takes_over(ward: Ward, receiver: Receiver) -> None:
    patience = [extension("timeout", valueUnsignedInt=60)]
    async with writing_client(ward) as client:
        wanted = subscription(f"Observation?patient={ANNA}", receiver.url, extensions=patience)
        name, _ = await subscribed(client, wanted)
        await wait_until(lambda: is_in(client, name, "active"), what="it is active")
    receiver.behaviour = SILENT
    dsn = ward.settings.database.dsn
    assert dsn is not None
    child = await asyncio.create_subprocess_exec(
        sys.executable, str(CHILD), dsn.get_secret_value(), LEASE_S
    )
    try:
        await ward.store_event(One("heart_rate", START, 71, device=CUFF))
        await wait_until(
            lambda: any(each.kind == "event-notification" for each in receiver.notices),
            LIMIT_S, "the child has sent it",
        )  # fmt: skip
    finally:
        child.kill()
        await child.wait()
    (row,) = await ward.store.subscriptions([name])
    assert (row.last_number, row.sent_number) == (1, 0)
    receiver.behaviour = OK
    bounds = Bounds(on_this_machine=True)
    async with (
        Subscriptions(ward.store, bounds, begin_s=0.0),
        Subscriptions(ward.store, bounds, begin_s=0.0),  # two of them share the work
    ):
        for step in range(1, 4):
            moment = START + step * MINUTE
            await ward.store_event(One("heart_rate", moment, 71, device=CUFF))
        await wait_until(lambda: receiver.numbers()[-1:] == [4], LIMIT_S, "all have arrived")
    assert receiver.numbers() == [1, 2, 3, 4]
    sent = [each.parameters["events"][0]["event-number"] for each in receiver.notices[1:]]
    assert sent[:2] == ["1", "1"]  # sent twice: nobody could know that the first had arrived
