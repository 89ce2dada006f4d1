"""What must be known before the readings of a link are taken."""

import pytest

from wardlight_edge.sessions.gate import HOLD_MS, Gate, Identity

CLOCK = frozenset({"clock"})
NOTHING: frozenset[str] = frozenset()


def test_with_nothing_to_read_it_is_open() -> None:
    gate = Gate(needs=NOTHING, serial_number=None)
    gate.link_up(0)
    assert gate.is_open(0)


def test_it_waits_for_the_clock_but_not_for_ever() -> None:
    gate = Gate(needs=CLOCK, serial_number=None)
    gate.link_up(1000)
    assert not gate.is_open(1000 + HOLD_MS - 1)
    assert gate.is_open(1000 + HOLD_MS)
    gate.link_up(2000)
    gate.known("clock")
    assert gate.is_open(2000)
    gate.link_up(3000)
    gate.reads_done()
    assert gate.is_open(3000)


def test_every_need_must_be_known() -> None:
    gate = Gate(needs=frozenset({"clock", "site"}), serial_number=None)
    gate.link_up(0)
    gate.known("site")
    assert not gate.is_open(0)
    gate.known("clock")
    assert gate.is_open(0)


def test_it_waits_for_the_serial_number_without_end() -> None:
    gate = Gate(needs=NOTHING, serial_number="SN-1")
    gate.link_up(0)
    assert not gate.is_open(10 * HOLD_MS)
    gate.reads_done()
    assert not gate.is_open(10 * HOLD_MS)
    assert gate.is_in_doubt
    assert not gate.is_refusing
    gate.link_up(20 * HOLD_MS)
    gate.told("SN-1")
    assert gate.is_open(20 * HOLD_MS)


def test_another_number_refuses_until_the_next_link() -> None:
    gate = Gate(needs=NOTHING, serial_number="SN-2")
    gate.link_up(0)
    gate.told("SN-1")
    assert gate.is_refusing
    assert not gate.is_open(0)
    gate.link_up(1)
    assert not gate.is_refusing
    assert not gate.is_open(1)


def test_unknown_is_not_wrong() -> None:
    gate = Gate(needs=NOTHING, serial_number="SN-1")
    gate.link_up(0)
    gate.reads_done()
    assert not gate.is_refusing
    assert not gate.is_open(0)


def test_a_device_without_a_number_is_known_by_its_address() -> None:
    gate = Gate(needs=NOTHING, serial_number="SN-1")
    gate.link_up(0)
    gate.told(None)
    assert gate.is_open(0)
    assert gate.identity is Identity.BY_ADDRESS


@pytest.mark.parametrize(("before", "is_taken"), [("SN-1", True), (None, True), ("SN-9", False)])
def test_a_read_that_fails_leaves_what_the_last_answer_said(
    before: str | None, is_taken: bool
) -> None:
    """Another device said before is no reason to refuse this link, but none to trust it."""
    gate = Gate(needs=NOTHING, serial_number="SN-1")
    gate.link_up(0)
    gate.told(before)
    gate.link_up(1)
    assert not gate.is_open(1), "first it is asked"
    gate.reads_done()
    assert gate.is_open(1) is is_taken
    assert not gate.is_refusing


def test_a_number_that_changes_on_a_link_counts_as_it_is_now() -> None:
    gate = Gate(needs=NOTHING, serial_number="SN-1")
    gate.link_up(0)
    gate.told("SN-1")
    gate.told("SN-9")
    assert gate.is_refusing


def test_what_is_read_at_the_first_use_is_compared_from_then_on() -> None:
    gate = Gate(needs=NOTHING, serial_number=None, is_first_use=True)
    gate.link_up(0)
    assert not gate.is_open(10 * HOLD_MS), "an unknown device never binds by itself"
    gate.reads_done()
    assert gate.is_in_doubt, "the number could not be read"
    gate.link_up(1)
    assert gate.told("SN-1"), "now it is bound"
    assert gate.identity is Identity.ENROLLED
    gate.link_up(2)
    assert not gate.told("SN-2")
    assert gate.is_refusing
    gate.link_up(3)
    assert not gate.told("SN-1")
    assert gate.is_open(3)


def test_a_device_without_a_number_is_bound_by_its_address() -> None:
    gate = Gate(needs=NOTHING, serial_number=None, is_first_use=True)
    gate.link_up(0)
    assert gate.told(None)
    assert gate.identity is Identity.BY_ADDRESS
    gate.link_up(1)
    assert not gate.told("SN-1")
    assert gate.is_open(1)
