"""Whatever a device sends, and in whatever order: a dialogue goes on, waits or gives up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.vectors import cases, octets
from wardlight_edge import devices
from wardlight_edge.devices import Bookmark, Done, Fetched, Read, Reject, Steps, Trouble, Write
from wardlight_shared.model import Reading

NAMES = ("blood_pressure", "cgm", "generic_health_sensor", "glucose", "pulse_oximeter")
MOST_STEPS = 64


def _values(name: str) -> st.SearchStrategy[tuple[str, bytes]]:
    """Known values as they are, with bytes changed, and any bytes."""
    known = [(case["characteristic"], octets(case)) for case in cases(name)]
    channels = sorted({channel for channel, _ in known})
    changed = st.tuples(st.sampled_from(known), st.integers(0, 20), st.integers(0, 255)).map(
        lambda one: (one[0][0], _changed(one[0][1], one[1], one[2]))
    )
    anything = st.tuples(st.sampled_from(channels), st.binary(max_size=24))
    return st.sampled_from(known) | changed | anything


def _changed(value: bytes, place: int, octet: int) -> bytes:
    return value[:place] + bytes([octet]) + value[place + 1 :]


VALUES = {name: _values(name) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_no_device_can_stop_a_dialogue(name: str, data: st.DataObject) -> None:
    decoder = devices.load_gatt(name)
    assert isinstance(decoder, devices.DialogueDecoder)
    number = data.draw(st.none() | st.integers(0, 0xFFFF))
    kept = {} if number is None else {"": Bookmark(number, "mark")}
    dialogue = decoder.dialogue({}, kept)
    now_ms = 0
    steps: Steps = ()
    for _ in range(data.draw(st.integers(0, 40))):
        now_ms += data.draw(st.sampled_from([0, 10, 31_000]))
        match data.draw(st.sampled_from(["begin", "value", "value", "value", "other"])):
            case "begin":
                dialogue.link_lost()
                steps = dialogue.begin(now_ms)
            case "value":
                channel, value = data.draw(VALUES[name])
                steps = dialogue.value(channel, value, now_ms)
            case _:
                steps = _other(data, dialogue, now_ms)
        assert len(steps) <= MOST_STEPS
        for step in steps:
            _check(step)
        assert dialogue.deadline_ms is None or isinstance(dialogue.deadline_ms, int)
        for bookmark in dialogue.bookmarks.values():
            assert bookmark.number is None or 0 <= bookmark.number <= 0xFFFF


def _other(data: st.DataObject, dialogue: devices.Dialogue, now_ms: int) -> Steps:
    channel = data.draw(st.sampled_from(sorted(dialogue.channels)))
    code = data.draw(st.sampled_from([None, 0x05, 0x80, 0x81, 0xFD, 0xFE]))
    return {
        "refused": lambda: dialogue.refused(channel, code, now_ms),
        "written": lambda: dialogue.written(channel, now_ms),
        "tick": lambda: dialogue.tick(now_ms),
        "committed": dialogue.committed,
        "lost": dialogue.link_lost,
    }[data.draw(st.sampled_from(["refused", "written", "tick", "committed", "lost"]))]()


def _check(step: object) -> None:
    assert isinstance(step, Write | Read | Fetched | Reject | Trouble | Done)
    if isinstance(step, Fetched):
        assert step.readings
        assert all(isinstance(each, Reading) for each in step.readings)
        assert step.age_ms >= 0
    if isinstance(step, Write):
        assert step.octets[0] in {1, 2, 3, 4}, "report, get interval, abort, count"
        if step.channel == "0x2A52":
            assert step.octets[0] != 2, "a gateway never deletes"
