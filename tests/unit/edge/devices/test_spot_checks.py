"""The conversation with an oximeter that keeps its spot checks."""

from wardlight_edge.devices import Fetched, Reject, Steps, pulse_oximeter
from wardlight_edge.devices._dialogue import Bookmarks, Dialogue, Done

SENT = bytes([6, 0, 1, 1])
STORED = 0x02  # second octet of the status: bit 9, data from measurement storage


def check(minute: int, *, status: int = STORED) -> bytes:
    """97 %, 61 beats, 2026-11-22 07:00 and some, status validated; by hand, PLXS 3.2."""
    return bytes.fromhex("03 6100 3D00 EA07 0B 16 07") + bytes([minute, 0, 0x80, status])


def undated(status: int) -> bytes:
    return bytes.fromhex("02 6100 3D00") + bytes([0x80, status])


def begun(count: int, bookmarks: Bookmarks | None = None) -> Dialogue:
    dialogue = pulse_oximeter.dialogue({}, bookmarks or {})
    dialogue.begin(0)
    dialogue.value("0x2A52", bytes([5, 0, count, 0]), 0)
    return dialogue


def fetched(steps: Steps) -> list[Fetched]:
    return [step for step in steps if isinstance(step, Fetched)]


def test_records_known_from_the_last_time_are_not_given_again() -> None:
    dialogue = begun(2)
    for minute in (1, 2):
        assert fetched(dialogue.value("0x2A5E", check(minute), 0))
    assert dialogue.value("0x2A52", SENT, 0) == (Done(2),)
    dialogue.committed()
    again = begun(3, dialogue.bookmarks)
    steps: Steps = ()
    for minute in (1, 2, 3):
        steps += again.value("0x2A5E", check(minute), 0)
    (event,) = fetched(steps)
    assert event.name == check(3, status=0)


def test_a_value_shown_at_once_and_stored_is_one() -> None:
    dialogue = begun(1)
    (event,) = fetched(dialogue.value("0x2A5E", check(1, status=0), 0))
    assert dialogue.value("0x2A5E", check(1), 0) == ()
    assert event.name == check(1, status=0)


def test_equal_values_without_a_date_are_two_when_just_measured() -> None:
    dialogue = begun(1)
    assert fetched(dialogue.value("0x2A5E", undated(0), 0))
    assert fetched(dialogue.value("0x2A5E", undated(0), 0))
    assert fetched(dialogue.value("0x2A5E", undated(STORED), 0))
    assert not fetched(dialogue.value("0x2A5E", undated(STORED), 0))


def test_a_value_that_comes_before_anything_is_asked_is_taken() -> None:
    dialogue = pulse_oximeter.dialogue({}, {})
    assert "0x2A5E" not in dialogue.kept
    assert fetched(dialogue.value("0x2A5E", check(1), 0))


def test_a_spoilt_record_stops_nothing() -> None:
    dialogue = begun(2)
    (reject,) = dialogue.value("0x2A5E", check(1)[:-1], 0)
    assert isinstance(reject, Reject)
    steps = dialogue.value("0x2A5E", check(2), 0) + dialogue.value("0x2A52", SENT, 0)
    assert steps[-1] == Done(2)
