"""The conversation with a scale that has users: turns, refusals, whose a value is."""

import pytest

from wardlight_edge.devices import (
    Consent,
    Dialogue,
    Done,
    Fetched,
    Reject,
    Steps,
    Trouble,
    Write,
    body_composition,
    weight_scale,
)
from wardlight_edge.devices._user_consent import ANSWER_MS, QUIET_MS, STAY_MS
from wardlight_edge.devices._user_values import PART_MS
from wardlight_shared.errors import ConfigError
from wardlight_shared.model import Flag

CONTROL = "0x2A9F"
ANN, BOB = Consent(1, 1234), Consent(2, 9999)
ASK_ANN, ASK_BOB = (
    Write(CONTROL, bytes.fromhex("0201D204")),
    Write(CONTROL, bytes.fromhex("02020F27")),
)
GRANTED = bytes.fromhex("200201")


def answer(result: int) -> bytes:
    """Response to a consent (UDS 1.1, 3.2.3)."""
    return bytes([0x20, 2, result])


def weight(user: int | None, steps: int = 14_000) -> bytes:
    """70 kg at 2026-11-22 07:30:05 (GSS Weight Measurement)."""
    flags = 0x02 if user is None else 0x06
    time = bytes.fromhex("EA07 0B 16 07 1E 05")
    return (
        bytes([flags]) + steps.to_bytes(2, "little") + time + bytes([] if user is None else [user])
    )


def begun(*consents: Consent) -> Dialogue:
    dialogue = body_composition.consent_dialogue({}, consents)
    assert dialogue.begin(0) == (
        Write(CONTROL, bytes([2, consents[0].user]) + consents[0].code.to_bytes(2, "little")),
    )
    return dialogue


def fetched(steps: Steps) -> list[Fetched]:
    return [step for step in steps if isinstance(step, Fetched)]


def troubles(steps: Steps) -> list[str]:
    return [step.reason for step in steps if isinstance(step, Trouble)]


def test_one_user_after_another_and_around_again_until_nothing_comes() -> None:
    scale = begun(ANN, BOB)
    assert scale.value(CONTROL, GRANTED, 0) == ()
    (first,) = fetched(scale.value("0x2A9D", weight(1), 1000))
    assert first.readings[0].user == 1
    assert scale.tick(1000 + QUIET_MS - 1) == ()
    assert scale.tick(1000 + QUIET_MS) == (ASK_BOB,)
    now_ms = 1000 + QUIET_MS
    scale.value(CONTROL, GRANTED, now_ms)
    (second,) = fetched(scale.value("0x2A9D", weight(2), now_ms))
    assert second.readings[0].user == 2
    heard_ms, asked = now_ms, []
    while (deadline_ms := scale.deadline_ms) is not None:
        steps = scale.tick(deadline_ms)
        asked += [step for step in steps if isinstance(step, Write)]
        scale.value(CONTROL, GRANTED, deadline_ms)
        now_ms = deadline_ms
    assert asked[:2] == [ASK_ANN, ASK_BOB]
    assert steps == (Done(2),)
    assert heard_ms + STAY_MS <= now_ms <= heard_ms + STAY_MS + 2 * QUIET_MS


def test_a_user_alone_is_asked_once_and_listened_to() -> None:
    scale = begun(ANN)
    scale.value(CONTROL, GRANTED, 0)
    assert scale.tick(QUIET_MS) == ()
    assert scale.deadline_ms == STAY_MS
    assert len(fetched(scale.value("0x2A9D", weight(1), STAY_MS - 1))) == 1
    assert scale.tick(STAY_MS) == ()
    assert scale.tick(STAY_MS - 1 + QUIET_MS) == ()
    assert scale.tick(2 * STAY_MS - 1) == (Done(1),)


def test_a_refused_code_is_told_and_never_sent_again() -> None:
    """A device may lock out a user whose code is tried too often."""
    scale = begun(ANN, BOB)
    steps = scale.value(CONTROL, answer(5), 0)
    (reason,) = troubles(steps)
    assert reason.startswith("user 1: the device refuses the consent code")
    assert "1234" not in reason
    assert steps[-1] == ASK_BOB
    scale.value(CONTROL, GRANTED, 0)
    scale.link_lost()
    assert scale.begin(60_000) == (ASK_BOB,)
    scale.value(CONTROL, GRANTED, 60_000)
    scale.tick(60_000 + QUIET_MS)
    last = scale.tick(60_000 + STAY_MS)
    assert troubles(last) == [reason], "it stands as long as it is so"
    assert last[-1] == Done(0, is_whole=False)


def test_a_code_that_was_right_before_is_tried_once_more() -> None:
    """The scale may have been busy; or the person has a new code, and then it is left alone."""
    scale = begun(ANN)
    scale.value(CONTROL, GRANTED, 0)
    scale.link_lost()
    scale.begin(60_000)
    (reason,) = troubles(scale.value(CONTROL, answer(5), 60_000))
    assert "once more" in reason
    scale.link_lost()
    assert scale.begin(120_000) == (ASK_ANN,)
    (reason,) = troubles(scale.value(CONTROL, answer(5), 120_000))
    assert "refuses the consent code" in reason
    scale.link_lost()
    assert not any(isinstance(step, Write) for step in scale.begin(180_000))


def test_nobody_is_left_to_ask() -> None:
    scale = begun(ANN)
    assert scale.value(CONTROL, answer(5), 0)[-1] == Done(0, is_whole=False)
    scale.link_lost()
    steps = scale.begin(60_000)
    assert [type(step) for step in steps] == [Trouble, Done]
    assert scale.deadline_ms is None


@pytest.mark.parametrize(
    ("result", "word"),
    [(2, "takes no consent"), (3, "knows no such user"), (4, "could not take")],
)
def test_a_failure_is_for_this_link_only(result: int, word: str) -> None:
    scale = begun(ANN, BOB)
    steps = scale.value(CONTROL, answer(result), 0)
    assert word in troubles(steps)[0]
    assert steps[-1] == ASK_BOB
    scale.value(CONTROL, GRANTED, 0)
    assert [step for step in scale.tick(QUIET_MS) if isinstance(step, Write)] == []
    scale.link_lost()
    assert scale.begin(60_000) == (ASK_ANN,)
    scale.value(CONTROL, GRANTED, 60_000)
    assert scale.tick(60_000 + QUIET_MS) == (ASK_BOB,)
    scale.value(CONTROL, GRANTED, 70_000)
    scale.link_lost()
    scale.begin(200_000)
    scale.value(CONTROL, answer(4), 200_000)
    assert troubles(scale.value(CONTROL, answer(4), 200_000)) == [
        "users 1, 2: the device could not take the consent; it is asked again on the next link"
    ]


def test_a_scale_that_does_not_answer() -> None:
    scale = begun(ANN)
    steps = scale.tick(ANSWER_MS)
    assert troubles(steps) == ["user 1: the device did not answer for 30 s"]
    assert steps[-1] == Done(0, is_whole=False)


@pytest.mark.parametrize(("code", "word"), [(None, "no user control point"), (0xFD, "0xfd")])
def test_a_control_point_that_takes_nothing(code: int | None, word: str) -> None:
    scale = begun(ANN)
    assert word in troubles(scale.refused(CONTROL, code, 0))[0]
    assert scale.refused(CONTROL, code, 0) == (), "what nobody asked for is nothing"


@pytest.mark.parametrize("user", [None, 255])
def test_a_value_of_nobody_stays_nobodys(user: int | None) -> None:
    """Also while somebody has consented: who stood on the scale is not guessed."""
    scale = begun(ANN)
    scale.value(CONTROL, GRANTED, 0)
    (event,) = fetched(scale.value("0x2A9D", weight(user), 0))
    assert [reading.user for reading in event.readings] == [None]
    assert all(reading.flags & Flag.USER_UNKNOWN for reading in event.readings)


def test_a_value_of_a_user_who_is_not_in_the_settings_is_this_users() -> None:
    scale = begun(ANN)
    (event,) = fetched(scale.value("0x2A9D", weight(7), 0))
    assert event.readings[0].user == 7
    assert not event.readings[0].flags & Flag.USER_UNKNOWN


def test_a_value_of_a_user_whose_code_was_refused_is_rejected() -> None:
    scale = begun(BOB, ANN)
    scale.value(CONTROL, answer(5), 0)
    scale.value(CONTROL, GRANTED, 0)
    assert scale.value("0x2A9D", weight(2), 0) == (
        Reject(weight(2), "a value of user 2, whose consent the device refused"),
    )
    assert fetched(scale.value("0x2A9D", weight(1), 0))


def test_a_scale_without_users_in_the_settings_is_listened_to() -> None:
    scale = weight_scale.consent_dialogue({}, ())
    assert "[[device.users]]" in troubles(scale.begin(0))[0]
    assert scale.deadline_ms is None
    assert fetched(scale.value("0x2A9D", weight(255), 0))


def test_what_is_no_value_and_what_is_no_answer() -> None:
    scale = begun(ANN)
    assert isinstance(scale.value("0x2A9D", b"\x06", 0)[0], Reject)
    assert isinstance(scale.value(CONTROL, b"\x20", 0)[0], Reject)
    assert isinstance(scale.value("0x2A99", b"\x01", 0)[0], Reject)
    assert scale.value("0x2A99", bytes(4), 0) == ()
    assert scale.value(CONTROL, bytes([0x20, 4, 1]), 0) == (), "to no request of ours"
    assert scale.deadline_ms == ANSWER_MS


def test_a_placeholder_of_the_memory_is_no_event() -> None:
    scale = begun(ANN)
    scale.value(CONTROL, GRANTED, 0)
    assert scale.value("0x2A9C", bytes.fromhex("0400 0000 01"), 0) == ()
    scale.tick(QUIET_MS)
    assert scale.tick(STAY_MS) == (Done(0),)


def test_no_code_is_shown() -> None:
    assert repr(ANN) == "Consent(user=1)"
    assert "1234" not in f"{[ANN]} {ANN}"


def test_options_are_refused() -> None:
    for decoder in (body_composition, weight_scale):
        with pytest.raises(ConfigError, match="racp_all"):
            decoder.consent_dialogue({"racp_all": False}, ())


# -- values in two packets (BCS 1.0, 3.2.1): flags b12; by hand

FIRST = bytes.fromhex("0E10 D200 EA07 0B 16 07 1E 05 01 6C1B")
"""21.0 % at 2026-11-22 07:30:05 of user 1, basal metabolism 7020 kJ."""

SECOND = bytes.fromhex("0014 D200 B036")
"""21.0 % again, weight 70 kg; neither time nor user."""

WHOLE = bytes.fromhex("0E04 D200 EA07 0B 16 07 1E 05 01 6C1B B036")


def test_two_packets_are_one_value() -> None:
    scale = begun(ANN)
    assert scale.value("0x2A9C", FIRST, 0) == ()
    (event,) = fetched(scale.value("0x2A9C", SECOND, 10))
    assert event.readings == body_composition.decode("0x2A9C", WHOLE)
    assert event.name == WHOLE
    assert {reading.metric for reading in event.readings} == {"body_fat", "body_weight"}
    assert {reading.user for reading in event.readings} == {1}


@pytest.mark.parametrize("end", ["time", "link"])
def test_a_packet_whose_other_half_is_lost_is_a_value(end: str) -> None:
    """The scale was told "received": what came must not be lost."""
    scale = begun(ANN)
    scale.value("0x2A9C", FIRST, 0)
    assert scale.deadline_ms == PART_MS
    steps = scale.tick(PART_MS) if end == "time" else scale.link_lost()
    (event,) = fetched(steps)
    assert event.name == FIRST
    assert event.readings[0].user == 1
    assert ("several-packets", "yes") in event.readings[0].context
    assert fetched(scale.link_lost()) == []


@pytest.mark.parametrize(
    "other",
    [
        pytest.param("0114 D200 B036", id="another unit"),
        pytest.param("0014 D300 B036", id="another number"),
        pytest.param("0414 D200 02 B036", id="another user"),
        pytest.param("0214 D200 EA07 0B 16 07 1F 05 B036", id="another time"),
    ],
)
def test_packets_of_two_measurements_are_not_mixed(other: str) -> None:
    scale = begun(ANN)
    scale.value("0x2A9C", FIRST, 0)
    (first,) = fetched(scale.value("0x2A9C", bytes.fromhex(other), 10))
    assert first.name == FIRST
    (second,) = fetched(scale.link_lost())
    assert second.name == bytes.fromhex(other)


def test_a_spoilt_packet_leaves_the_one_that_waits() -> None:
    scale = begun(ANN)
    scale.value("0x2A9C", FIRST, 0)
    assert isinstance(scale.value("0x2A9C", SECOND[:-1], 10)[0], Reject)
    assert len(fetched(scale.value("0x2A9C", SECOND, 20))) == 1
