"""The conversation with a glucose meter: contexts, spoilt records, options."""

from collections.abc import Iterable

import pytest

from wardlight_edge.devices import Fetched, InformedDialogue, Reject, Steps, glucose
from wardlight_edge.devices._dialogue import Bookmark, Dialogue, Done
from wardlight_edge.devices._glucose_context import decode_context
from wardlight_edge.devices._glucose_records import MOST_WAITING
from wardlight_shared.errors import ConfigError
from wardlight_shared.model import Absent, DeviceInfo, Flag

COUNT_TWO = bytes([5, 0, 2, 0])
SENT = bytes([6, 0, 1, 1])


def record(sequence: int, *, context: bool = False) -> bytes:
    """100 mg/dL, capillary whole blood, 2026-11-22 07:30:05 (GSS Glucose Measurement)."""
    head = bytes([0x12 if context else 0x02]) + sequence.to_bytes(2, "little")
    return head + bytes.fromhex("EA07 0B 16 07 1E 05 64B0 11")


def meal(sequence: int, number: int) -> bytes:
    return bytes([0x02]) + sequence.to_bytes(2, "little") + bytes([number])


def begun(count: int = 2, manufacturer: str = "Roche") -> Dialogue:
    """A conversation in the middle of its report."""
    dialogue = glucose.dialogue({}, {})
    assert isinstance(dialogue, InformedDialogue)
    dialogue.known_as(DeviceInfo(manufacturer=manufacturer))
    dialogue.begin(0)
    dialogue.value("0x2A52", bytes([5, 0, count, 0]), 0)
    return dialogue


def fetched(steps: Steps) -> list[Fetched]:
    return [step for step in steps if isinstance(step, Fetched)]


@pytest.mark.parametrize("is_early", [False, True])
def test_a_context_is_joined_to_its_record(is_early: bool) -> None:
    dialogue = begun()
    values = [("0x2A18", record(7, context=True)), ("0x2A34", meal(7, 2))]
    steps: Steps = ()
    for channel, octets in reversed(values) if is_early else values:
        steps += dialogue.value(channel, octets, 0)
    (event,) = fetched(steps)
    (reading,) = event.readings
    assert reading.context == (("meal", "after-meal"),)
    assert reading.flags & Flag.FROM_STORAGE
    assert event.name == record(7, context=True), "the context is no part of its name"


def test_a_fasting_record_has_its_own_metric() -> None:
    dialogue = begun()
    dialogue.value("0x2A18", record(7, context=True), 0)
    (event,) = fetched(dialogue.value("0x2A34", meal(7, 3), 0))
    assert event.readings[0].metric == "glucose_fasting_capillary"


def test_a_ketone_record_is_no_glucose() -> None:
    """CareSens meters give them in the same characteristic, with meal 6."""
    dialogue = begun(manufacturer="i-SENS")
    dialogue.value("0x2A18", record(7, context=True), 0)
    (event,) = fetched(dialogue.value("0x2A34", meal(7, 6), 0))
    assert event.readings[0].value is Absent.INVALID
    assert event.readings[0].context == (("meal", "ketone"),)


@pytest.mark.parametrize("number", [0, 6, 255])
def test_a_reserved_meal_says_nothing(number: int) -> None:
    """GSS Glucose Measurement Context, Meal: 0 and 6 to 255 are reserved."""
    dialogue = begun()
    dialogue.value("0x2A18", record(7, context=True), 0)
    (event,) = fetched(dialogue.value("0x2A34", meal(7, number), 0))
    assert event.readings[0].value == 100
    assert event.readings[0].context == ()


def test_a_context_that_never_comes_keeps_no_record_back() -> None:
    dialogue = begun()
    assert dialogue.value("0x2A18", record(1, context=True), 0) == ()
    assert len(fetched(dialogue.value("0x2A18", record(2), 0))) == 1
    steps = dialogue.value("0x2A52", SENT, 0)
    assert [event.readings[0].record for event in fetched(steps)] == [1]
    assert steps[-1] == Done(2)


def test_a_record_that_waits_for_its_context_at_the_end_of_a_link_comes_again() -> None:
    dialogue = begun()
    dialogue.value("0x2A18", record(1), 0)
    dialogue.value("0x2A18", record(2, context=True), 0)
    dialogue.link_lost()
    dialogue.begin(0)
    dialogue.value("0x2A52", COUNT_TWO, 0)
    steps = dialogue.value("0x2A18", record(1), 0)
    steps += dialogue.value("0x2A18", record(2, context=True), 0)
    steps += dialogue.value("0x2A34", meal(2, 1), 0)
    assert [event.readings[0].record for event in fetched(steps)] == [2]


def test_what_waits_is_bounded() -> None:
    dialogue = begun(200)
    steps: Steps = ()
    for sequence in range(1, 101):
        steps += dialogue.value("0x2A18", record(sequence, context=True), 0)
    assert len(fetched(steps)) == 100 - MOST_WAITING


def test_a_spoilt_record_is_set_aside_once_and_stops_nothing() -> None:
    dialogue = begun()
    spoilt = record(1)[:-1]
    steps = dialogue.value("0x2A18", spoilt, 0)
    assert [type(step) for step in steps] == [Reject]
    steps = dialogue.value("0x2A18", record(2), 0) + dialogue.value("0x2A52", SENT, 0)
    assert steps[-1] == Done(2)
    dialogue.committed()
    assert dialogue.bookmarks[""].number == 2


def test_nothing_is_bookmarked_before_it_is_committed() -> None:
    dialogue = begun()
    dialogue.value("0x2A18", record(1), 0)
    dialogue.value("0x2A18", record(2), 0)
    dialogue.value("0x2A52", SENT, 0)
    assert dialogue.bookmarks == {}
    dialogue.committed()
    assert dialogue.bookmarks[""].number == 2


def test_bytes_that_are_no_answer_settle_nothing() -> None:
    dialogue = begun()
    dialogue.value("0x2A18", record(1, context=True), 0)
    steps = dialogue.value("0x2A52", b"\x06", 0)
    assert [type(step) for step in steps] == [Reject]
    assert len(fetched(dialogue.value("0x2A34", meal(1, 1), 0))) == 1


def test_a_bookmark_is_asked_from() -> None:
    dialogue = glucose.dialogue({}, {"": Bookmark(300, "mark")})
    (ask,) = dialogue.begin(0)
    assert ask.octets == bytes.fromhex("04 03 01 2C01")  # type: ignore[union-attr]


@pytest.mark.parametrize("options", [{"racp": True}, {"racp_all": 1}])
def test_options_are_checked(options: dict[str, bool | int]) -> None:
    with pytest.raises(ConfigError, match="racp"):
        glucose.dialogue(options, {})


def _pairs(hexadecimal: str) -> Iterable[tuple[str, str]]:
    return decode_context(bytes.fromhex(hexadecimal)).pairs


def test_every_field_of_a_context_is_said() -> None:
    """By hand, GSS Glucose Measurement Context: 25 g for dinner (0xB9C4 = 2500e-5 kg would not fit
    12 bits, so 25e-3 kg = 0xD019), casual, self-tested, minor issues, 60 s at 50 %, 4 = long
    acting, 0.012 L = 12e-3 = 0xD00C, HbA1c 6.5 % = 65e-1 = 0xF041.
    """
    text = "FF 0100 00 03 19D0 04 11 3C00 32 04 0CD0 41F0"
    assert dict(_pairs(text)) == {
        "carbohydrate": "dinner",
        "carbohydrate-g": "25",
        "meal": "casual",
        "tester": "self",
        "health": "minor-health-issues",
        "exercise-s": "60",
        "exercise-percent": "50",
        "medication": "long-acting-insulin",
        "medication-ml": "12",
        "hba1c-percent": "6.5",
    }


def test_what_a_context_does_not_know_is_left_out() -> None:
    """Reserved numbers, an exercise that has run over, NaN amounts; kg without bit 5."""
    assert dict(_pairs("1F 0100 00 FF07 00 F0 FFFF 0A 00 0AA0")) == {
        "exercise-percent": "10",
        "medication-mg": "10",
    }
