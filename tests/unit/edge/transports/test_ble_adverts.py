"""What of the radios' reports is news of an advertising device."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.keeping_receiver import KeepingReceiver
from support.manual_clock import ManualClock
from support.waiting import let_run
from wardlight_edge.config import BleSettings
from wardlight_edge.transports.adverts import Advert
from wardlight_edge.transports.base import Anew, Arrival, LinkState, Octets
from wardlight_edge.transports.ble import Heard
from wardlight_edge.transports.ble_adverts import AdvertTransport
from wardlight_edge.transports.ble_bonds import Bonds
from wardlight_edge.transports.ble_stack import BleStack

ADDRESS = "54:48:E6:8F:80:A5"
KIND = "service-data:0xFCD2"
OTHER = "manufacturer:0x004C"


class Narrow(KeepingReceiver):
    """A receiver with so much room; ``lost`` is what it refused."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room
        self.lost: list[bytes] = []

    @property
    def has_room(self) -> bool:
        return len(self.of(Octets)) < self.room

    def offer(self, arrival: Arrival) -> bool:
        if isinstance(arrival, Octets) and not self.has_room:
            self.lost.append(arrival.octets)
            return False
        return super().offer(arrival)


class Bench:
    """A transport whose stack never runs; tests are the radio."""

    def __init__(self, folder: Path, receiver: KeepingReceiver | None = None) -> None:
        self.clock = ManualClock()
        self.stack = BleStack(
            BleSettings(adapters=("hci0", "hci1")), [ADDRESS], Bonds(folder / "bonds"), self.clock
        )
        self.receiver = receiver or KeepingReceiver()
        self.transport = AdvertTransport(
            "ble:5448E68F80A5", frozenset({KIND}), 60, self.stack, self.clock
        )

    def hear(self, *adverts: tuple[str, bytes], adapter: str = "hci0", after_ms: int = 100) -> None:
        self.clock.advance(after_ms)
        pieces = tuple(Advert(kind, payload) for kind, payload in adverts)
        peer = cast(Any, object())
        heard = Heard(ADDRESS, adapter, "/path", -60, False, self.clock.mono_ms(), peer, pieces)
        self.stack.watch(ADDRESS).put(heard)

    def said(self) -> list[bytes]:
        return [each.octets for each in self.receiver.of(Octets)]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.transport.run(self.receiver))
        await let_run()
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})


async def test_only_kinds_of_the_decoder_and_only_news(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    async with bench.running():
        for payload in (b"a", b"a", b"b", b"a"):
            bench.hear((OTHER, b"x"), (KIND, payload))
    assert bench.said() == [b"a", b"b", b"a"]
    assert {each.channel for each in bench.receiver.of(Octets)} == {KIND}
    assert bench.receiver.states() == [LinkState.WAITING]


async def test_a_radio_that_shows_what_it_heard_long_ago_says_nothing_new(tmp_path: Path) -> None:
    """BlueZ shows old data again with every change of signal of the second adapter."""
    bench = Bench(tmp_path)
    async with bench.running():
        bench.hear((KIND, b"a"), adapter="hci1")
        bench.hear((KIND, b"a"), adapter="hci0")
        for payload in (b"b", b"c"):
            bench.hear((KIND, payload), adapter="hci0")
            bench.hear((KIND, b"a"), adapter="hci1")
    assert bench.said() == [b"a", b"a", b"b", b"c"]


async def test_a_silence_is_told_before_what_ends_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    async with bench.running():
        bench.hear((KIND, b"a"))
        bench.hear((OTHER, b"x"), after_ms=60_000)
        bench.hear((KIND, b"a"), after_ms=60_000)
        assert bench.receiver.of(Anew) == [], "heard within the time, whatever it said"
        bench.hear((KIND, b"a"), after_ms=60_001)
    *_, anew, octets = bench.receiver.arrivals
    assert isinstance(anew, Anew)
    assert not anew.is_renewed
    assert isinstance(octets, Octets)
    assert bench.said() == [b"a", b"a"]


async def test_a_time_without_a_radio_is_no_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path)
    async with bench.running():
        bench.hear((KIND, b"a"))
        await let_run()
        with monkeypatch.context() as away:
            away.setattr(bench.stack, "absence", lambda _: "adapter hci0 not found")
            bench.stack.watch(ADDRESS).changed.set()
            await let_run()
        bench.stack.watch(ADDRESS).changed.set()
        await let_run()
        bench.hear((KIND, b"a"), after_ms=3_600_000)
    assert bench.receiver.of(Anew) == []
    assert bench.said() == [b"a"]
    states = [LinkState.WAITING, LinkState.ABSENT, LinkState.WAITING]
    assert bench.receiver.states() == states


async def test_what_finds_no_room_is_lost_once_and_taken_when_it_is_still_said(
    tmp_path: Path,
) -> None:
    receiver = Narrow(1)
    bench = Bench(tmp_path, receiver)
    async with bench.running():
        bench.hear((KIND, b"a"))
        for _ in range(3):
            bench.hear((KIND, b"b"))
        bench.hear((KIND, b"c"))
        bench.hear((KIND, b"c"))
        assert receiver.lost == [b"b", b"c"]
        receiver.room = 2
        bench.hear((KIND, b"c"))
        bench.hear((KIND, b"c"))
    assert bench.said() == [b"a", b"c"]
    assert receiver.lost == [b"b", b"c"]


async def test_an_operator_s_word_is_passed_on(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    async with bench.running():
        bench.hear((KIND, b"a"))
        await bench.transport.repair()
        bench.hear((KIND, b"a"))
    (anew,) = bench.receiver.of(Anew)
    assert anew.is_renewed
    assert bench.said() == [b"a", b"a"]
    await bench.transport.repair()
    bench.hear((KIND, b"z"))
    assert bench.said() == [b"a", b"a"], "what is heard after the end is nobody's"


@given(
    said=st.lists(
        st.tuples(st.sampled_from(["hci0", "hci1"]), st.sampled_from([b"a", b"b", b"c"])),
        max_size=40,
    )
)
async def test_of_each_radio_exactly_the_changes_are_delivered(
    said: list[tuple[str, bytes]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    bench = Bench(tmp_path_factory.getbasetemp())
    expected: list[bytes] = []
    last: dict[str, bytes] = {}
    async with bench.running():
        for adapter, payload in said:
            bench.hear((KIND, payload), adapter=adapter)
            expected += [payload] * (last.get(adapter) != payload)
            last[adapter] = payload
    assert bench.said() == expected
