"""The link as a state machine: what is confirmed, what is seen, and that the two may differ."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardlight_lab.bluez import DeviceFaults, LinkLostError, Peripheral, Transmission
from wardlight_lab.bluez.radio_link import RadioLink, Reason

UUID = "2a35"


class Air:
    """One link and what came out at its far end."""

    def __init__(self, faults: DeviceFaults, *, listening: bool = True) -> None:
        self.peripheral = Peripheral("C0:00:00:00:00:01", "x", [], faults=faults)
        self.seen: list[bytes] = []
        self.ends: list[Reason] = []
        self.listening = listening
        self.link = RadioLink(
            self.peripheral,
            deliver=self._deliver,
            ended=self.ends.append,
            remembered=set(),
            is_encrypted=False,
            indication_s=0.0,
        )
        self.peripheral.link_changed(self.link)

    def _deliver(self, uuid: str, value: bytes) -> bool:
        assert uuid == UUID
        if self.listening:
            self.seen.append(value)
        return self.listening


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(scenario())  # type: ignore[arg-type]


@given(
    count=st.integers(1, 12),
    drop_after=st.none() | st.integers(1, 12),
    lose_first=st.integers(0, 4),
    lose_last=st.integers(0, 4),
    confirm=st.booleans(),
)
def test_seen_values_are_the_sent_ones_without_the_lost_ends(
    count: int, drop_after: int | None, lose_first: int, lose_last: int, confirm: bool
) -> None:
    async def scenario() -> None:
        faults = DeviceFaults(
            drop_after=deque([drop_after]),
            lose_first=lose_first,
            lose_last=lose_last,
            acknowledge_last=confirm,
        )
        air = Air(faults)
        confirmed: list[Transmission] = []
        try:
            for number in range(count):
                confirmed.append(await air.link.indicate(UUID, bytes([number])))
        except LinkLostError:
            assert drop_after is not None
        await air.link.hang_up()
        sent = count if drop_after is None else min(count, drop_after)
        expected = [bytes([number]) for number in range(lose_first, sent)]
        assert air.seen == expected[: max(len(expected) - lose_last, 0)]
        dropped = drop_after is not None and drop_after <= count
        assert len(confirmed) == sent - (1 if dropped and not confirm else 0)
        assert all(each.acknowledged for each in confirmed)
        assert [each.delivered for each in confirmed].count(True) <= len(air.seen)
        assert air.ends == [Reason.TIMEOUT if dropped else Reason.REMOTE]
        assert air.peripheral.link is None

    run(scenario)


def test_nothing_is_sent_over_a_link_that_has_ended() -> None:
    async def scenario() -> None:
        air = Air(DeviceFaults())
        air.link.end(Reason.LOCAL)
        air.link.end(Reason.REMOTE)
        assert air.ends == [Reason.LOCAL]
        for send in (air.link.notify, air.link.indicate):
            with pytest.raises(LinkLostError) as lost:
                await send(UUID, b"x")
            assert lost.value.is_delivered is None
        assert air.seen == []

    run(scenario)


def test_without_a_listener_an_indication_is_confirmed_and_not_delivered() -> None:
    async def scenario() -> None:
        air = Air(DeviceFaults(), listening=False)
        assert await air.link.indicate(UUID, b"x") == Transmission(True, False)
        assert await air.link.notify(UUID, b"x") == Transmission(False, False)

    run(scenario)


def test_an_indication_on_a_mute_link_is_never_confirmed() -> None:
    async def scenario() -> None:
        air = Air(DeviceFaults(mute=True))
        waiting = asyncio.create_task(air.link.indicate(UUID, b"x"))
        await asyncio.sleep(0)
        assert not waiting.done()
        air.link.end(Reason.TIMEOUT)
        with pytest.raises(LinkLostError) as lost:
            await waiting
        assert lost.value.is_delivered is False

    run(scenario)


def test_the_devices_tasks_end_with_the_link_and_a_broken_one_is_reported(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(Peripheral):
        async def on_connected(self, link: object) -> None:
            raise ZeroDivisionError

        async def on_subscribed(self, link: object, uuid: str) -> None:
            await asyncio.Event().wait()

    async def scenario() -> None:
        link = RadioLink(
            Broken("C0:00:00:00:00:01", "x", []),
            deliver=lambda _, __: True,
            ended=lambda _: None,
            remembered=set(),
            is_encrypted=False,
            indication_s=0.0,
        )
        link.start()
        link.subscribe(UUID)
        await asyncio.sleep(0)
        assert link.is_subscribed(UUID)
        link.end(Reason.LOCAL)
        await asyncio.wait_for(link.tasks_done(), 180)

    run(scenario)
    assert "emulated device failed" in caplog.text
