"""The conversation with an Omron cuff: its lock, its slots, the end of a link, nothing written."""

from datetime import datetime, timedelta

import pytest

from support.omron import FRESH, SECRET, Talk
from wardlight_edge.devices import (
    KEY,
    Bookmark,
    Bookmarks,
    ClockShown,
    Done,
    Fetched,
    Reject,
    Trouble,
    event_id,
)
from wardlight_edge.devices import omron_memory as omron
from wardlight_edge.devices._omron_memory import OmronMemory
from wardlight_lab.devices.omron_memory import HEM_7322T, HEM_7361T, CuffMemory
from wardlight_shared.errors import ConfigError
from wardlight_shared.model import DeviceTime

START = datetime(2026, 11, 1, 8, 30, 15)  # noqa: DTZ001 - a cuff's wall clock
MODELS = {"HEM-7322T": HEM_7322T, "HEM-7361T": HEM_7361T}


def cuff_of(model: str = "HEM-7322T", *, records: tuple[int, ...] = (3, 2)) -> CuffMemory:
    """A cuff in pairing mode with so many records for each user."""
    cuff = CuffMemory(MODELS[model], is_pairing=True)
    cuff.show(START)
    for user, count in enumerate(records):
        for place in range(count):
            measure(cuff, user, place)
    return cuff


def measure(cuff: CuffMemory, user: int, place: int) -> None:
    at = START + timedelta(hours=place, minutes=user)
    cuff.store(user, 110 + place % 60, 70 + user, 60 + place % 40, at)


def dialogue_of(bookmarks: Bookmarks = FRESH, model: str = "HEM-7322T") -> OmronMemory:
    return omron.dialogue({"model": model}, bookmarks)


def users(talk: Talk) -> list[int | None]:
    return [each.readings[0].user for each in talk.records()]


@pytest.mark.parametrize("model", list(MODELS))
def test_a_cuff_in_pairing_mode_learns_the_key_and_gives_everything(model: str) -> None:
    cuff, dialogue = cuff_of(model), dialogue_of(model=model)
    talk = Talk(dialogue, cuff)
    talk.link()
    assert users(talk) == [1, 1, 1, 2, 2]
    first = talk.records()[0].readings
    assert [(each.metric, str(each.value)) for each in first] == [
        ("systolic_bp", "110"), ("diastolic_bp", "70"), ("pulse_rate_nibp", "60"),
    ]  # fmt: skip
    assert first[0].time == DeviceTime(2026, 11, 1, 8, 30, 15)
    assert talk.told[0] == ClockShown(DeviceTime(2026, 11, 1, 8, 30, 15))
    assert talk.told[-1] == Done(5)
    assert dialogue.bookmarks[KEY] == Bookmark(mark=SECRET.mark, run="known")
    assert not cuff.written


def test_every_slot_is_read_once() -> None:
    cuff = cuff_of()
    Talk(dialogue_of(), cuff).link()
    slots = [each for each in cuff.reads if each[0] >= HEM_7322T.users[0]]
    assert sum(size for _, size in slots) == 2 * 100 * 14
    assert len(set(slots)) == len(slots)


def test_a_cuff_that_measured_nothing_since_is_left_alone() -> None:
    cuff, dialogue = cuff_of(), dialogue_of()
    talk = Talk(dialogue, cuff)
    talk.link()
    cuff.reads.clear()
    assert talk.link() == [Done(0)]
    assert len(cuff.reads) == 1, "its counters alone"


def test_after_a_restart_only_new_records_come() -> None:
    cuff, dialogue = cuff_of(), dialogue_of()
    Talk(dialogue, cuff).link()
    measure(cuff, 1, 7)
    again = Talk(dialogue_of(dialogue.bookmarks), cuff)
    again.link()
    assert users(again) == [2]
    assert again.told[-1] == Done(1)


def test_a_ring_that_overwrites_its_oldest_record_loses_none() -> None:
    cuff, dialogue = cuff_of(records=(100, 0)), dialogue_of()
    talk = Talk(dialogue, cuff)
    talk.link()
    assert len(talk.records()) == 100
    measure(cuff, 0, 100)
    measure(cuff, 0, 101)
    talk.link()
    assert [str(each.readings[0].value) for each in talk.records()] == ["150", "151"]


@pytest.mark.parametrize("lost_after", [1, 2, 3, 4, 5, 6, 17, 30, 54])
def test_the_next_link_goes_on_where_one_was_cut(lost_after: int) -> None:
    cuff, dialogue = cuff_of(records=(60, 60)), dialogue_of()
    talk = Talk(dialogue, cuff)
    talk.link(lost_after)
    before = talk.records()
    assert not dialogue.bookmarks.get("", Bookmark()).known, "nothing is kept of half a memory"
    cuff.reads.clear()
    cuff.is_pairing = cuff.is_pairing or lost_after == 1
    talk.link()
    names = [each.name for each in before + talk.records()]
    assert len(names) == len(set(names)) == 120
    slots = [each for each in cuff.reads if each[0] >= HEM_7322T.users[0]]
    assert len(slots) <= 50 - len(before) // 4


def test_a_measurement_between_two_links_begins_the_reading_anew() -> None:
    cuff, dialogue = cuff_of(records=(60, 0)), dialogue_of()
    talk = Talk(dialogue, cuff)
    talk.link(20)
    before = len(talk.records())
    measure(cuff, 0, 60)
    talk.link()
    assert before + len(talk.records()) == 61
    assert talk.told[-1] == Done(61 - before)


def test_a_silent_cuff_is_asked_again_and_then_left() -> None:
    cuff, dialogue = cuff_of(), dialogue_of()
    cuff.silent = 3
    talk = Talk(dialogue, cuff)
    talk.link()
    assert len(talk.records()) == 5
    cuff.silent = 50
    measure(cuff, 0, 9)
    talk.link()
    assert isinstance(talk.told[0], Trouble)
    assert talk.told[-1] == Done(0, is_whole=False)
    cuff.silent = 0
    talk.link()
    assert len(talk.records()) == 1


def test_a_cuff_that_does_not_know_the_key_says_what_to_do() -> None:
    cuff, dialogue = cuff_of(), dialogue_of()
    cuff.is_pairing = False
    told = Talk(dialogue, cuff).link()
    assert isinstance(told[0], Trouble)
    assert "-P-" in told[0].reason
    assert SECRET.mark not in told[0].reason
    assert told[1] == Done(0, is_whole=False)
    assert not cuff.reads


def test_a_cuff_given_to_a_phone_meanwhile_can_be_taught_again() -> None:
    cuff, dialogue = cuff_of(), dialogue_of()
    talk = Talk(dialogue, cuff)
    talk.link()
    cuff.is_pairing = True
    cuff.written_to_lock(b"\0" + bytes(16))
    cuff.disconnected()
    measure(cuff, 0, 5)
    assert isinstance(talk.link()[0], Trouble)
    cuff.is_pairing = True
    talk.link()
    assert len(talk.records()) == 1


def test_a_kill_after_teaching_is_no_harm() -> None:
    """The cuff knows the key, the bookmark does not say so."""
    cuff = cuff_of()
    Talk(dialogue_of(), cuff).link(2)
    assert not cuff.is_pairing
    talk = Talk(dialogue_of(), cuff)
    talk.link()
    assert len(talk.records()) == 5


def test_without_a_key_nothing_is_asked() -> None:
    cuff = cuff_of()
    told = Talk(dialogue_of({}), cuff).link()
    assert isinstance(told[0], Trouble)
    assert cuff.is_pairing


def test_a_slot_that_is_no_record_is_rejected_once_and_the_rest_comes() -> None:
    cuff = cuff_of()
    cuff.store(0, 25 + 0xE2, 80, 60, START)
    dialogue = dialogue_of()
    talk = Talk(dialogue, cuff)
    talk.link()
    assert len(talk.records()) == 5
    assert sum(isinstance(step, Reject) for step in talk.told) == 1
    measure(cuff, 1, 8)
    talk.link()
    assert not any(isinstance(step, Reject) for step in talk.told)
    assert len(talk.records()) == 1


def test_the_same_measurement_of_two_users_is_two_events() -> None:
    cuff = cuff_of(records=(0, 0))
    for user in (0, 1):
        cuff.store(user, 120, 80, 60, START)
    talk = Talk(dialogue_of(), cuff)
    talk.link()
    names = {event_id("ble:1", each.readings, each.name) for each in talk.records()}
    assert len(names) == 2


@pytest.mark.parametrize("options", [{}, {"model": "HEM-1"}, {"model": 7322}, {"modle": "x"}])
def test_a_profile_must_name_a_model(options: dict[str, str | int | float | bool]) -> None:
    with pytest.raises(ConfigError, match="options"):
        omron.dialogue(options, {})


def test_a_memory_without_users_gives_none() -> None:
    cuff = CuffMemory(HEM_7322T, is_pairing=True)
    cuff.store(0, 120, 80, 60, START)
    talk = Talk(dialogue_of(model="HEM-7600T"), cuff)
    talk.link()
    assert users(talk) == [None]
    assert all(isinstance(step, Fetched | Done | ClockShown) for step in talk.told)
