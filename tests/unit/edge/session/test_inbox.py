"""The bounded queue between a transport and its session."""

import asyncio

from wardlight_edge.sessions.inbox import BATCH, Inbox
from wardlight_edge.transports.base import LinkChange, LinkState, Octets, ReadsDone


def _octets(mono_ms: int) -> Octets:
    return Octets("0x2A37", b"\x00\x48", mono_ms, mono_ms)


async def test_arrivals_come_out_in_order_and_in_batches() -> None:
    inbox = Inbox(lambda: False)
    for moment in range(BATCH + 10):
        assert inbox.offer(_octets(moment))
    first = await inbox.take(None)
    second = await inbox.take(None)
    assert [each.mono_ms for each in (*first, *second)] == list(range(BATCH + 10))
    assert await inbox.take(0.01) == []


async def test_what_finds_no_room_is_counted_with_its_time() -> None:
    inbox = Inbox(lambda: False, capacity=2)
    assert [inbox.offer(_octets(moment)) for moment in (1, 2, 3, 4)] == [True, True, False, False]
    lost = inbox.take_lost()
    assert lost is not None
    assert (lost.cause, lost.count, lost.since_ms, lost.until_ms) == ("overrun", 2, 3, 4)
    assert inbox.take_lost() is None


async def test_a_full_outbox_is_the_cause_where_it_is() -> None:
    inbox = Inbox(lambda: True, capacity=1)
    inbox.offer(_octets(1))
    inbox.offer(_octets(2))
    lost = inbox.take_lost()
    assert lost is not None
    assert lost.cause == "outbox-full"


async def test_changes_of_the_link_always_find_room() -> None:
    inbox = Inbox(lambda: False, capacity=1)
    inbox.offer(_octets(1))
    assert inbox.offer(LinkChange(LinkState.LOST, 2))
    assert inbox.offer(ReadsDone(3))
    assert inbox.take_lost() is None


async def test_delivering_waits_for_room() -> None:
    inbox = Inbox(lambda: False, capacity=1)
    await inbox.deliver(_octets(1))
    waiting = asyncio.create_task(inbox.deliver(_octets(2)))
    await asyncio.sleep(0)
    assert not waiting.done()
    await inbox.take(None)
    await asyncio.wait_for(waiting, 180)
    assert [each.mono_ms for each in await inbox.take(None)] == [2]


async def test_a_closed_inbox_gives_the_rest_and_then_nothing() -> None:
    inbox = Inbox(lambda: False)
    inbox.offer(_octets(1))
    inbox.close()
    assert not inbox.is_done
    assert len(await inbox.take(None)) == 1
    assert inbox.is_done
    assert await inbox.take(None) == []


async def test_closing_wakes_who_waits() -> None:
    inbox = Inbox(lambda: False)
    waiting = asyncio.create_task(inbox.take(None))
    await asyncio.sleep(0)
    inbox.close()
    assert await asyncio.wait_for(waiting, 180) == []
