"""The pairing window: one at a time, ended by time, by its operator, or by its outcome."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.manual_clock import ManualClock
from support.waiting import wait_until
from wardlight_edge.enrolment.desk import MOST_S, OPERATOR_GONE_S, PairingDesk
from wardlight_edge.enrolment.messages import OVER, Phase, Window
from wardlight_shared.errors import ConfigError

CUFF = "ble:AABBCCDDEEFF"
ADDRESS = "AA:BB:CC:DD:EE:FF"
OTHER = "AA:BB:CC:DD:EE:00"


class Bench:
    """A desk with its clock, and how often it said that an operator came or went."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.changes = 0
        self.desk = PairingDesk(self.clock, self._changed)

    def _changed(self) -> None:
        self.changes += 1

    def open(self, seconds: float = 60, *, bond: bool = True, identity: bool = False) -> Window:
        return self.desk.open(CUFF, seconds, needs_bond=bond, needs_identity=identity)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_it_is_for_one_device_and_one_operator(bench: Bench) -> None:
    assert not bench.desk.is_present
    window = bench.open()
    assert bench.desk.is_present
    assert bench.desk.is_at(ADDRESS)
    assert not bench.desk.is_at(OTHER)
    with pytest.raises(ConfigError, match="is being paired by somebody else"):
        bench.open()
    with pytest.raises(ConfigError, match="is over"):
        bench.desk.look("guess")
    assert bench.desk.close(window.window).phase is Phase.FAILED
    assert not bench.desk.is_present
    assert bench.changes == 2
    assert bench.open().window != window.window
    with pytest.raises(ConfigError, match="is over"):
        bench.desk.look(window.window)


def test_it_ends_with_its_time(bench: Bench) -> None:
    window = bench.open(20)
    for _ in range(4):
        bench.clock.advance(4900)
        assert bench.desk.look(window.window).phase is Phase.LISTENING
    bench.clock.advance(500)
    last = bench.desk.look(window.window)
    assert last.phase is Phase.FAILED
    assert "was not heard in time" in last.text
    assert not bench.desk.is_at(ADDRESS)


def test_it_ends_when_nobody_looks_any_more(bench: Bench) -> None:
    bench.open(600)
    bench.clock.advance(int(OPERATOR_GONE_S * 1000) + 1)
    bench.desk.expire()
    assert not bench.desk.is_present
    bench.open(10 * MOST_S)


async def test_digits_reach_the_question_they_are_for(bench: Bench) -> None:
    window = bench.open()
    bench.desk.found(ADDRESS)
    asking = asyncio.create_task(bench.desk.digits(ADDRESS))
    await wait_until(lambda: bench.desk.look(window.window).question)
    question = bench.desk.look(window.window).question
    with pytest.raises(ConfigError, match="does not wait for digits"):
        bench.desk.answer(window.window, question + 1, 1)
    bench.desk.answer(window.window, question, 123456)
    assert await asking == 123456
    with pytest.raises(ConfigError, match="does not wait for digits"):
        bench.desk.answer(window.window, question, 123456)
    assert bench.desk.look(window.window).phase is Phase.CONNECTING
    bench.desk.paired(ADDRESS)
    assert bench.desk.look(window.window).phase is Phase.DONE
    assert await bench.desk.digits(ADDRESS) is None, "nobody is there any more"


async def test_a_question_that_is_withdrawn_is_over(bench: Bench) -> None:
    window = bench.open()
    asking = asyncio.create_task(bench.desk.digits(ADDRESS))
    await wait_until(lambda: bench.desk.look(window.window).question)
    asking.cancel()
    await asyncio.wait({asking})
    assert bench.desk.look(window.window).question == 0
    bench.desk.went(ADDRESS)
    shown = bench.desk.look(window.window)
    assert (shown.phase, "waiting to hear" in shown.text) == (Phase.LISTENING, True)


async def test_closing_answers_with_a_refusal(bench: Bench) -> None:
    window = bench.open()
    asking = asyncio.create_task(bench.desk.digits(ADDRESS))
    await wait_until(lambda: bench.desk.look(window.window).question)
    bench.desk.close(window.window)
    assert await asking is None


@pytest.mark.parametrize(
    ("given_", "text"),
    [(123456, "were not those on the device"), (None, "no digits in time")],
)
async def test_a_failure_says_what_it_was(bench: Bench, given_: int | None, text: str) -> None:
    window = bench.open()
    asking = asyncio.create_task(bench.desk.digits(ADDRESS))
    await wait_until(lambda: bench.desk.look(window.window).question)
    bench.desk.answer(window.window, bench.desk.look(window.window).question, given_)
    await asking
    bench.desk.failed(ADDRESS, None)
    assert text in bench.desk.look(window.window).text


def test_a_device_that_refuses_without_a_question_says_so(bench: Bench) -> None:
    window = bench.open()
    bench.desk.failed(OTHER, None)
    bench.desk.failed(ADDRESS, None)
    assert "the device refused" in bench.desk.look(window.window).text


def test_it_waits_for_the_bond_and_for_the_identity(bench: Bench) -> None:
    window = bench.open(bond=True, identity=True)
    bench.desk.paired(ADDRESS)
    assert bench.desk.look(window.window).phase is Phase.IDENTIFYING
    bench.desk.bound(CUFF, "known by its serial number X")
    done = bench.desk.look(window.window)
    assert (done.phase, done.text) == (Phase.DONE, "ready; known by its serial number X")


def test_what_is_to_be_typed_on_the_device_is_shown_once(bench: Bench) -> None:
    window = bench.open()
    bench.desk.show(ADDRESS, "000123")
    assert bench.desk.look(window.window).digits == "000123"
    bench.desk.paired(ADDRESS)
    assert bench.desk.look(window.window).digits is None


_steps = st.lists(
    st.sampled_from(
        ["open", "close", "found", "went", "failed", "paired", "bound", "show", "late", "forget"]
    ),
    max_size=30,
)


@given(_steps)
def test_whatever_happens_only_an_open_window_is_an_operator(steps: list[str]) -> None:
    bench = Bench()
    last: Window | None = None
    for step in steps:
        match step:
            case "open" if not bench.desk.is_present:
                last = bench.open(20, identity=True)
            case "close" if last is not None:
                bench.desk.close(last.window)
            case "failed":
                bench.desk.failed(ADDRESS, None)
            case "bound":
                bench.desk.bound(CUFF, "x")
            case "show":
                bench.desk.show(ADDRESS, "1")
            case "late":
                bench.clock.advance(12_000)
            case "forget":
                bench.desk.forget(CUFF)
            case "found" | "went" | "paired":
                getattr(bench.desk, step)(ADDRESS)
        is_over = last is None or bench.desk.look(last.window).phase in OVER
        assert bench.desk.is_present is not is_over
        assert bench.desk.is_at(ADDRESS) is not is_over
        assert not bench.desk.is_at(OTHER)
