"""The conversation with a cuff that keeps its measurements; records by hand, GSS and BLS 1.1."""

import pytest

from wardlight_edge.devices import Bookmarks, Dialogue, Done, Fetched, Reject, Steps, blood_pressure
from wardlight_edge.devices._e2e_crc import crc16

SENT = bytes([6, 0, 1, 1])
COUNT_ALL, REPORT_ALL = bytes([4, 1]), bytes([1, 1])
RECORD, ACCESS = "0x2B36", "0x2A52"


def value(minute: int, user: int = 1) -> bytes:
    """0x2A35: 120/80, mean 93, at 2026-11-22 07:00 and some, of a user."""
    return bytes.fromhex("0A 7800 5000 5D00 EA07 0B 16 07") + bytes([minute, 0, user])


def record(number: int, octets: bytes) -> bytes:
    """In one segment, without a CRC."""
    return bytes([3]) + number.to_bytes(2, "little") + bytes.fromhex("352A") + octets


def segments(number: int, octets: bytes, at: int, *, first: int = 0) -> list[bytes]:
    """In two segments; the counter begins at ``first``."""
    head = number.to_bytes(2, "little") + bytes.fromhex("352A")
    second = (first + 1) % 64
    return [
        bytes([first << 2 | 1]) + head + octets[:at],
        bytes([second << 2 | 2]) + head + octets[at:],
    ]


def begun(count: int, bookmarks: Bookmarks | None = None) -> Dialogue:
    dialogue = blood_pressure.dialogue({}, bookmarks or {})
    dialogue.begin(0)
    dialogue.value(ACCESS, bytes([5, 0, count, 0]), 0)
    return dialogue


def fetched(steps: Steps) -> list[Fetched]:
    return [step for step in steps if isinstance(step, Fetched)]


def test_each_user_counts_by_itself() -> None:
    """The same number twice is two records."""
    dialogue = begun(2)
    (first,) = fetched(dialogue.value(RECORD, record(0, value(1, user=1)), 0))
    (second,) = fetched(dialogue.value(RECORD, record(0, value(2, user=2)), 0))
    assert [event.readings[0].user for event in (first, second)] == [1, 2]
    assert dialogue.value(ACCESS, SENT, 0) == (Done(2),)


def test_what_is_known_from_the_last_time_is_not_given_again() -> None:
    dialogue = begun(1)
    dialogue.value(RECORD, record(0, value(1)), 0)
    dialogue.value(ACCESS, SENT, 0)
    dialogue.committed()
    again = begun(2, dialogue.bookmarks)
    assert again.value(RECORD, record(0, value(1)), 0) == ()
    assert fetched(again.value(RECORD, record(1, value(2)), 0))


def test_a_record_has_the_name_of_the_measurement_itself() -> None:
    """So that what was also sent at once is one event."""
    (event,) = fetched(begun(1).value(RECORD, record(9, value(1)), 0))
    assert event.name == value(1)
    assert event.readings == blood_pressure.decode("0x2A35", value(1))


@pytest.mark.parametrize("first", [0, 63])
def test_segments_are_joined(first: int) -> None:
    dialogue = begun(1)
    one, two = segments(4, value(1), 9, first=first)
    assert dialogue.value(RECORD, one, 0) == ()
    (event,) = fetched(dialogue.value(RECORD, two, 0))
    assert event.name == value(1)


@pytest.mark.parametrize("as_sent", [True, False])
def test_the_crc_of_segments(as_sent: bool) -> None:
    one, two = segments(4, value(1), 9)
    over = one + two if as_sent else record(4, value(1))
    dialogue = begun(1)
    dialogue.value(RECORD, one, 0)
    assert fetched(dialogue.value(RECORD, two + crc16(over).to_bytes(2, "little"), 0))


def test_a_lost_segment_brings_the_record_again() -> None:
    """The rest of it is kept aside, and the count says that something is missing."""
    dialogue = begun(2)
    lost, rest = segments(0, value(1), 9)
    assert isinstance(dialogue.value(RECORD, rest, 0)[0], Reject)
    assert fetched(dialogue.value(RECORD, record(1, value(2)), 0))
    steps = dialogue.value(ACCESS, SENT, 0)
    assert not any(isinstance(step, Done) for step in steps), "it asks again"
    dialogue.value(ACCESS, bytes([5, 0, 2, 0]), 0)
    dialogue.value(RECORD, lost, 0)
    assert fetched(dialogue.value(RECORD, rest, 0))
    dialogue.value(RECORD, record(1, value(2)), 0)
    assert dialogue.value(ACCESS, SENT, 0)[-1] == Done(2)


@pytest.mark.parametrize("change", ["counter", "number", "characteristic"])
def test_segments_of_two_records_are_not_mixed(change: str) -> None:
    dialogue = begun(1)
    one, two = segments(4, value(1), 9)
    place = {"counter": 0, "number": 1, "characteristic": 3}[change]
    dialogue.value(RECORD, one, 0)
    other = two[:place] + bytes([two[place] ^ 0b1000]) + two[place + 1 :]
    assert isinstance(dialogue.value(RECORD, other, 0)[0], Reject)


def test_a_record_that_never_ends_is_given_up() -> None:
    dialogue = begun(1)
    head = bytes.fromhex("0000 352A") + bytes(20)
    steps = dialogue.value(RECORD, bytes([1]) + head, 0)
    for counter in range(1, 9):
        steps += dialogue.value(RECORD, bytes([counter << 2]) + head, 0)
    assert any("over 64 bytes" in step.reason for step in steps if isinstance(step, Reject))
    assert all(len(step.octets) <= 256 for step in steps if isinstance(step, Reject))


def test_a_link_that_ends_in_a_record() -> None:
    dialogue = begun(1)
    one, two = segments(4, value(1), 9)
    dialogue.value(RECORD, one, 0)
    dialogue.link_lost()
    dialogue.begin(0)
    assert isinstance(dialogue.value(RECORD, two, 0)[0], Reject)
