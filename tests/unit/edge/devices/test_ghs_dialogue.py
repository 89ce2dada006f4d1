"""A Generic Health Sensor is told to send, and gives what it stored, segment by segment."""

import pytest

from support.vectors import cases, octets
from wardlight_edge.devices import (
    Bookmark,
    Done,
    Fetched,
    Reject,
    Trouble,
    Write,
    event_id,
)
from wardlight_edge.devices import generic_health_sensor as sensor
from wardlight_edge.devices._dialogue import Dialogue
from wardlight_shared.errors import ConfigError
from wardlight_shared.model import Flag

CONTROL, POINT, STORED = "0x2BF4", "0x2A52", "0x2BDD"
RECORD = next(octets(case) for case in cases("generic_health_sensor") if "record 7" in case["name"])
COUNT_ALL, REPORT_ALL = bytes([4, 1]), bytes([1, 1])
ONE, SENT, NOTHING = bytes([5, 0, 1, 0]), bytes([6, 0, 1, 1]), bytes([6, 0, 4, 6])


def segments(value: bytes, size: int = 9, first: int = 5) -> list[bytes]:
    """The observation in notifications, with a counter that begins anywhere."""
    body = value[1:]
    places = range(0, len(body), size)
    return [
        bytes([(first + number) % 64 << 2 | (at == 0) | (at + size >= len(body)) << 1])
        + body[at : at + size]
        for number, at in enumerate(places)
    ]


def begun(bookmarks: dict[str, Bookmark] | None = None) -> Dialogue:
    dialogue = sensor.dialogue({}, bookmarks or {})
    assert dialogue.begin(0) == (Write(CONTROL, b"\x01"), Write(POINT, COUNT_ALL))
    assert dialogue.value(CONTROL, b"\x80", 10) == ()
    assert dialogue.value(POINT, ONE, 20) == (Write(POINT, REPORT_ALL),)
    return dialogue


@pytest.mark.parametrize(("size", "first"), [(9, 5), (4, 62), (100, 0)])
def test_a_stored_observation_is_one_event_however_it_is_cut(size: int, first: int) -> None:
    dialogue = begun()
    steps = [dialogue.value(STORED, each, 30) for each in segments(RECORD, size, first)]
    assert steps[:-1] == [()] * (len(steps) - 1)
    (fetched,) = steps[-1]
    assert isinstance(fetched, Fetched)
    assert fetched.name == RECORD, "the joined value, whatever the counter was"
    (reading,) = fetched.readings
    assert (str(reading.value), reading.record) == ("36.6", 7)
    assert reading.flags & Flag.FROM_STORAGE
    assert dialogue.value(POINT, SENT, 40) == (), "the link stays for what it measures next"
    dialogue.committed()
    assert len(dialogue.bookmarks[""].known) == 1


def test_it_is_known_on_the_next_link_and_after_a_restart() -> None:
    dialogue = begun()
    for each in segments(RECORD):
        dialogue.value(STORED, each, 30)
    dialogue.value(POINT, SENT, 40)
    dialogue.committed()
    for again in (dialogue, begun(dict(dialogue.bookmarks))):
        again.link_lost()
        again.begin(50)
        again.value(POINT, ONE, 60)
        assert not any(again.value(STORED, each, 70) for each in segments(RECORD, 30))


def test_a_lost_segment_is_told_and_the_record_comes_again() -> None:
    dialogue = begun()
    first, _, *rest = segments(RECORD)
    assert dialogue.value(STORED, first, 30) == ()
    (reject,) = dialogue.value(STORED, rest[0], 40)
    assert isinstance(reject, Reject)
    assert dialogue.value(POINT, SENT, 50) == (Write(POINT, REPORT_ALL),), "one was counted"


@pytest.mark.parametrize(("answer", "word"), [(b"\x81", "busy"), (b"\x82", "0x82")])
def test_a_sensor_that_does_not_send_is_told(answer: bytes, word: str) -> None:
    dialogue = sensor.dialogue({}, {})
    dialogue.begin(0)
    (trouble,) = dialogue.value(CONTROL, answer, 10)
    assert isinstance(trouble, Trouble)
    assert word in trouble.reason


def test_a_sensor_without_control_points_is_no_trouble() -> None:
    dialogue = sensor.dialogue({}, {})
    dialogue.begin(0)
    assert dialogue.refused(CONTROL, None, 10) == ()
    assert dialogue.refused(POINT, None, 10) == ()
    assert dialogue.deadline_ms is None
    (trouble,) = dialogue.refused(CONTROL, 0x05, 10)
    assert isinstance(trouble, Trouble)


def test_an_empty_memory_is_no_trouble() -> None:
    dialogue = sensor.dialogue({}, {})
    dialogue.begin(0)
    assert not any(isinstance(step, Done | Trouble) for step in dialogue.value(POINT, NOTHING, 9))


def test_options_are_refused() -> None:
    with pytest.raises(ConfigError, match="options"):
        sensor.dialogue({"rate": 1}, {})


def test_the_name_of_a_live_observation_is_that_of_its_joined_value() -> None:
    live = octets(cases("generic_health_sensor")[0])
    readings = sensor.decode("0x2B8B", live)
    names = set()
    for size, first in ((7, 3), (40, 60)):
        joiner = sensor.assembler()
        whole = [joiner.take("0x2B8B", each) for each in segments(live, size, first)][-1]
        assert whole is not None
        names.add(event_id("ble:1", readings, whole))
    assert len(names) == 1
