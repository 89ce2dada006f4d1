"""Who may hold a link of a proxy."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.waiting import let_run
from wardlight_edge.transports.ble_errors import BleError, Trouble
from wardlight_edge.transports.link_budget import LinkBudget


def _budget(max_links: int = 3, *, free: int = 3, limit: int = 3) -> LinkBudget:
    made = LinkBudget(max_links, lambda: None)
    made.told(free, limit)
    return made


async def test_what_the_proxy_lends_to_others_is_not_ours() -> None:
    budget = _budget(free=1)
    async with budget.slot(is_stream=False):
        assert budget.free == 0


async def test_a_link_that_stands_is_counted_once() -> None:
    """The proxy's count is lower by it, and so would ours be."""
    budget = _budget()
    async with budget.slot(is_stream=False):
        assert budget.free == 2
        with budget.standing():
            budget.told(2, 3)
            assert budget.free == 2
        budget.told(3, 3)
    assert budget.free == 3


async def test_a_count_that_comes_while_a_visit_ends_is_right_afterwards() -> None:
    """Another program takes two links in the moment in which ours is given back."""
    budget = _budget()
    async with budget.slot(is_stream=False):
        with budget.standing():
            budget.told(2, 3)
        budget.told(1, 3)
    assert budget.free == 1


async def test_streams_leave_a_link_for_a_cuff() -> None:
    budget = _budget()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(budget.slot(is_stream=True))
        await stack.enter_async_context(budget.slot(is_stream=True))
        third = asyncio.create_task(_take(budget, is_stream=True))
        await let_run()
        assert not third.done()
        await stack.enter_async_context(budget.slot(is_stream=False))
        await stack.aclose()
        await asyncio.wait_for(third, 180)


async def test_never_more_than_the_settings_say() -> None:
    budget = _budget(max_links=1)
    async with budget.slot(is_stream=False):
        assert budget.free == 0


async def test_who_waits_for_a_proxy_that_goes_away_is_told() -> None:
    budget = _budget(free=0)
    waiting = asyncio.create_task(_take(budget, is_stream=False))
    await let_run()
    assert not waiting.done()
    budget.told(0, 0)
    with pytest.raises(BleError) as gone:
        await asyncio.wait_for(waiting, 180)
    assert gone.value.trouble is Trouble.GONE


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=20),
    st.integers(1, 9),
)
def test_any_counts_leave_a_sound_number(told: list[tuple[int, int]], max_links: int) -> None:
    budget = LinkBudget(max_links, lambda: None)
    for free, limit in told:
        budget.told(free, limit)
        assert 0 <= budget.free <= max_links


async def _take(budget: LinkBudget, *, is_stream: bool) -> None:
    async with budget.slot(is_stream=is_stream):
        return
