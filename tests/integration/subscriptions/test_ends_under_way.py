"""What its owner ends while a notice is under way, or owed, is sent to nobody any more."""

import httpx
import pytest

from support.notice_receiver import BUSY, OK, SILENT, Receiver
from support.readings import One
from support.served_ward import ANNA, CUFF, MINUTE, START, Ward
from support.subscribed_ward import extension, is_in, subscribed, subscription
from support.waiting import wait_until


@pytest.mark.parametrize("behaviour", [SILENT, BUSY])
@pytest.mark.parametrize("ends", ["off", "delete", "criteria"])
async def test_nothing_follows_an_end(
    ward: Ward, client: httpx.AsyncClient, receiver: Receiver, ends: str, behaviour: int
) -> None:
    """``SILENT``: it waits for the answer; ``BUSY``: it is to be sent again."""
    patience = [extension("timeout", valueUnsignedInt=60)]
    wanted = subscription(f"Observation?patient={ANNA}", receiver.url, extensions=patience)
    name, _ = await subscribed(client, wanted)
    await wait_until(lambda: is_in(client, name, "active"), what="it is active")
    receiver.behaviour = behaviour
    await ward.store_event(One("heart_rate", START, 71, device=CUFF))
    await wait_until(
        lambda: any(each.kind == "event-notification" for each in receiver.notices),
        what="a notice is under way",
    )
    kept = (await client.get(f"/fhir/Subscription/{name}")).json()
    if ends == "delete":
        assert (await client.delete(f"/fhir/Subscription/{name}")).status_code in (200, 204)
    else:
        changed = {"status": "off"} if ends == "off" else {
            "status": "requested", "criteria": f"Task?patient={ANNA}"
        }  # fmt: skip
        answer = await client.put(f"/fhir/Subscription/{name}", json={**kept, **changed})
        assert answer.status_code == 200, answer.text

    async def has_ended() -> bool:
        rows = await ward.store.subscriptions([name])
        return not rows if ends == "delete" else rows[0].generation > 1

    await wait_until(has_ended, what="it is known to have ended")
    receiver.behaviour = OK
    other = subscription(f"Observation?patient={ANNA}", receiver.url.replace("site=1", "site=2"))
    second, _ = await subscribed(client, other)
    await wait_until(lambda: is_in(client, second, "active"), what="another one is active")
    before = len(receiver.notices)
    await ward.store_event(One("heart_rate", START + MINUTE, 72, device=CUFF))

    def told(site: str) -> list[str]:
        return [each.kind for each in receiver.notices[before:] if site in each.path]

    await wait_until(lambda: "event-notification" in told("site=2"), what="the other one is told")
    assert set(told("site=1")) <= ({"handshake"} if ends == "criteria" else set())
    rows = await ward.store.subscriptions([name])
    if ends == "delete":
        assert not rows
    else:
        assert (rows[0].last_number, rows[0].sent_number) == (0 if ends == "criteria" else 1, 0)
