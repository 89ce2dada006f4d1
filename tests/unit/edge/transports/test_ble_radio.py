"""Who may hold a link of an adapter."""

import asyncio
from contextlib import AsyncExitStack

from support.waiting import let_run
from wardlight_edge.clock import SystemClock
from wardlight_edge.config import BleSettings
from wardlight_edge.transports.ble_radio import Radio


def _radio(max_links: int) -> Radio:
    settings = BleSettings(max_links=max_links)
    return Radio("hci0", settings, SystemClock(), frozenset(), lambda _: None, changed=lambda: None)


async def _takes_slot(radio: Radio, stack: AsyncExitStack, *, is_stream: bool) -> bool:
    """Whether a link may be made at once."""
    try:
        async with asyncio.timeout(0.05):
            await stack.enter_async_context(radio.slot(is_stream=is_stream))
    except TimeoutError:
        return False
    return True


async def test_streams_leave_a_link_for_a_cuff() -> None:
    radio = _radio(max_links=3)
    async with AsyncExitStack() as stack:
        assert await _takes_slot(radio, stack, is_stream=True)
        assert await _takes_slot(radio, stack, is_stream=True)
        assert not await _takes_slot(radio, stack, is_stream=True)
        assert radio.state.links == 2
        assert await _takes_slot(radio, stack, is_stream=False)
        assert not await _takes_slot(radio, stack, is_stream=False)
    assert radio.state.links == 0


async def test_with_one_link_there_is_one_for_anybody() -> None:
    radio = _radio(max_links=1)
    async with AsyncExitStack() as stack:
        assert await _takes_slot(radio, stack, is_stream=True)
        assert not await _takes_slot(radio, stack, is_stream=False)


async def test_connects_are_made_one_at_a_time() -> None:
    radio = _radio(max_links=4)
    async with radio.connecting():
        second = asyncio.create_task(_connect(radio))
        await let_run()
        assert not second.done()
    await asyncio.wait_for(second, 180)


async def _connect(radio: Radio) -> None:
    async with radio.connecting():
        return
