"""What must be known before the readings of a link are taken."""

from wardlight_edge.sessions.gate import HOLD_MS, Gate
from wardlight_shared.model import DeviceInfo

NUMBER = DeviceInfo(serial_number="SN-1")


def test_with_nothing_to_read_it_is_open() -> None:
    gate = Gate(needs_clock=False, serial_number=None)
    gate.link_up(0)
    assert gate.is_open(0)


def test_it_waits_for_the_clock_but_not_for_ever() -> None:
    gate = Gate(needs_clock=True, serial_number=None)
    gate.link_up(1000)
    assert not gate.is_open(1000 + HOLD_MS - 1)
    assert gate.is_open(1000 + HOLD_MS)
    gate.link_up(2000)
    gate.clock_known()
    assert gate.is_open(2000)
    gate.link_up(3000)
    gate.reads_done()
    assert gate.is_open(3000)


def test_it_waits_for_the_serial_number_without_end() -> None:
    gate = Gate(needs_clock=False, serial_number="SN-1")
    gate.link_up(0)
    assert not gate.is_open(10 * HOLD_MS)
    assert not gate.is_refusing
    gate.told(DeviceInfo(model="M"))
    assert not gate.is_open(0)
    gate.told(NUMBER)
    assert gate.is_open(0)


def test_another_number_refuses_until_the_next_link() -> None:
    gate = Gate(needs_clock=False, serial_number="SN-2")
    gate.link_up(0)
    gate.told(NUMBER)
    assert gate.is_refusing
    assert not gate.is_open(0)
    gate.link_up(1)
    assert not gate.is_refusing


def test_a_device_that_states_no_number_is_not_the_enrolled_one() -> None:
    gate = Gate(needs_clock=False, serial_number="SN-1")
    gate.link_up(0)
    gate.reads_done()
    assert gate.is_refusing


def test_a_verified_device_does_not_wait_again() -> None:
    gate = Gate(needs_clock=False, serial_number="SN-1")
    gate.link_up(0)
    gate.told(NUMBER)
    gate.link_up(1)
    assert gate.is_open(1)
    gate.told(DeviceInfo(serial_number="SN-9"))
    assert gate.is_refusing
