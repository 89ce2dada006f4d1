"""ASTM: every vector; the link by the standard's own rules, in both directions."""

from typing import Any

import msgspec
import pytest

from support.vectors import Case, cases, expected, seen
from wardlight_edge.devices import Now, Reject, Say, Subject, Take, astm
from wardlight_edge.devices._astm.frames import Frame, decode_frame, encode_frame, frames_of
from wardlight_edge.devices._astm.link import (
    ANSWER_MS,
    BUSY_MS,
    CONTENTION_MS,
    MOST_RETRIES,
    RECEIVE_MS,
    AstmLink,
    BadFrame,
    Ended,
    FrameText,
    Octets,
    Phase,
    Sent,
)
from wardlight_edge.devices._astm.records import MAX_RECORD
from wardlight_shared.errors import ConfigError, DecodeError

ENQ, ACK, NAK, EOT = b"\x05", b"\x06", b"\x15", b"\x04"
HEADER = b"H|\\^&|||Meter^1.0^SN7"
RESULT = b"R|1|^^^Glucose|93|mg/dL^P||||20150526115000"
NOW = Now(0, 0)


def _octets(case: Case) -> bytes:
    if "hex" in case:
        return bytes.fromhex(case["hex"])
    text: str = case["text"]
    return text.strip().replace("\n", "\r").encode()


def _options(case: Case) -> dict[str, str]:
    return {"tests": case["tests"]} if "tests" in case else {}


@pytest.mark.parametrize("case", [pytest.param(each, id=each["name"]) for each in cases("astm")])
def test_vector(case: Case) -> None:
    if "error" in case:
        with pytest.raises(DecodeError, match=case["error"]):
            astm.decode_bytes(_octets(case), _options(case))
        return
    readings, info = astm.decode_bytes(_octets(case), _options(case))
    assert [seen(reading) for reading in readings] == [expected(each) for each in case["expect"]]
    if "device" in case:
        stated: dict[str, Any] = msgspec.structs.asdict(info)
        assert {name: value for name, value in stated.items() if value} == case["device"]


@pytest.mark.parametrize("option", [{"tests": "Glucose=sugar"}, {"tests": 1}, {"colour": "red"}])
def test_options_that_are_none(option: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        astm.conversation(option)


# -- the link as receiver


def _frame(number: int, text: bytes, *, is_last: bool = True) -> bytes:
    return encode_frame(Frame(number, text, is_last))


def test_a_frame_by_hand() -> None:
    """1H|\\^& CR ETX: 31+48+7C+5C+5E+26+0D+03 = 1E5."""
    assert encode_frame(Frame(1, b"H|\\^&\r", is_last=True)) == b"\x021H|\\^&\r\x03E5\r\n"


def test_a_transmission_is_acknowledged_frame_by_frame() -> None:
    link = AstmLink()
    assert Octets(ACK) in link.received(ENQ, 0)
    for number in (1, 2, 3, 4, 5, 6, 7, 0, 1):
        assert link.received(_frame(number, b"C|1"), 0) == [FrameText(b"C|1", is_last=True)]
    assert link.received(EOT, 0) == [Ended(is_whole=True)]
    assert link.phase is Phase.NEUTRAL


def test_a_damaged_frame_is_asked_for_again() -> None:
    link = AstmLink()
    link.received(ENQ, 0)
    damaged = bytearray(_frame(1, b"C|1|x"))
    damaged[4] ^= 1
    bad, answer = link.received(bytes(damaged), 0)
    assert isinstance(bad, BadFrame)
    assert answer == Octets(NAK)
    assert link.received(_frame(1, b"C|1|x"), 0) == [FrameText(b"C|1|x", is_last=True)]


def test_a_frame_sent_again_is_acknowledged_and_not_taken_twice() -> None:
    link = AstmLink()
    link.received(ENQ, 0)
    link.received(_frame(1, b"C|1"), 0)
    assert link.received(_frame(1, b"C|1"), 0) == [Octets(ACK)]


def test_a_frame_out_of_order_is_refused() -> None:
    link = AstmLink()
    link.received(ENQ, 0)
    assert link.received(_frame(3, b"C|1"), 0)[1] == Octets(NAK)


def test_the_first_frame_is_number_1() -> None:
    """E1381-02, 6.3.2: numbering begins at 1 with each transmission; 0 repeats no frame of it."""
    link = AstmLink()
    for _ in range(2):
        link.received(ENQ, 0)
        bad, answer = link.received(_frame(0, b"C|1"), 0)
        assert isinstance(bad, BadFrame)
        assert answer == Octets(NAK)
        assert link.received(_frame(1, b"C|1"), 0) == [FrameText(b"C|1", is_last=True)]
        link.received(EOT, 0)


def test_number_0_after_7_is_taken_and_acknowledged_again() -> None:
    link = AstmLink()
    link.received(ENQ, 0)
    for number in range(1, 8):
        link.received(_frame(number, b"C|1"), 0)
    assert link.received(_frame(0, b"C|2"), 0) == [FrameText(b"C|2", is_last=True)]
    assert link.received(_frame(0, b"C|2"), 0) == [Octets(ACK)]


def test_silence_of_30_seconds_ends_the_transmission() -> None:
    link = AstmLink()
    link.received(ENQ, 1000)
    link.received(_frame(1, b"C|1"), 5000)
    assert link.due_ms == 5000 + RECEIVE_MS == 35_000
    assert link.waited(34_999) == []
    assert link.waited(35_000) == [Ended(is_whole=False)]


def test_frames_before_enq_are_nothing() -> None:
    link = AstmLink()
    assert link.received(_frame(1, b"C|1"), 0) == []
    assert link.counts.skipped_octets == len(_frame(1, b"C|1"))


def test_a_lost_byte_costs_its_frame_and_none_after_it() -> None:
    whole = _frame(1, b"C|1|comment")
    for lost in range(len(whole)):
        link = AstmLink()
        link.received(ENQ, 0)
        link.received(whole[:lost] + whole[lost + 1 :], 0)
        assert link.received(whole, 0)[-1] in (FrameText(b"C|1|comment", is_last=True), Octets(NAK))
        if link.counts.frames == 0:  # what was left ran into the frame: sent once more, it is taken
            assert link.received(whole, 0) == [FrameText(b"C|1|comment", is_last=True)]


# -- the link as sender

MESSAGE = frames_of((b"H|\\^&", b"L|1|N"))


def test_a_message_is_sent_frame_by_frame() -> None:
    link = AstmLink()
    assert link.send(MESSAGE, 0) == [Octets(ENQ)]
    assert link.due_ms == ANSWER_MS == 15_000
    assert link.received(ACK, 0) == [Octets(encode_frame(MESSAGE[0]))]
    assert link.received(ACK, 0) == [Octets(encode_frame(MESSAGE[1]))]
    assert link.received(ACK, 0) == [Octets(EOT), Sent(is_delivered=True)]
    assert link.due_ms is None


def test_a_refused_frame_is_sent_six_times_more() -> None:
    link = AstmLink()
    link.send(MESSAGE, 0)
    link.received(ACK, 0)
    for _ in range(MOST_RETRIES):
        assert link.received(NAK, 0) == [Octets(encode_frame(MESSAGE[0]))]
    assert link.received(NAK, 0) == [Octets(EOT), Sent(is_delivered=False)]


def test_no_answer_ends_the_call() -> None:
    link = AstmLink()
    link.send(MESSAGE, 0)
    assert link.waited(ANSWER_MS) == [Octets(EOT), Sent(is_delivered=False)]


def test_a_busy_receiver_is_called_again_after_10_seconds() -> None:
    link = AstmLink()
    link.send(MESSAGE, 0)
    assert link.received(NAK, 0) == []
    assert link.due_ms == BUSY_MS == 10_000
    assert link.waited(BUSY_MS) == [Octets(ENQ)]


def test_in_contention_the_host_yields_and_hears_the_instrument_first() -> None:
    link = AstmLink()
    link.send(MESSAGE, 0)
    assert link.received(ENQ, 100) == []
    assert link.due_ms == 100 + CONTENTION_MS
    assert Octets(ACK) in link.received(ENQ, 1100)  # it calls again after a second
    link.received(_frame(1, b"C|1"), 1200)
    assert link.received(EOT, 1300) == [Ended(is_whole=True), Octets(ENQ)]


def test_a_long_record_takes_several_frames() -> None:
    first, second = frames_of((b"C|1|" + b"x" * 300,))
    assert (first.is_last, second.is_last) == (False, True)
    assert len(first.text) == 240
    assert decode_frame(encode_frame(second)) == second


# -- the conversation


def test_a_result_is_acknowledged_by_its_take_alone() -> None:
    talk = astm.conversation({})
    assert talk.received(ENQ, NOW) == (Say(ACK),)
    assert talk.received(_frame(1, HEADER), NOW)[-1] == Say(ACK)
    (take,) = talk.received(_frame(2, RESULT), NOW)
    assert isinstance(take, Take)
    assert (take.answer, take.refusal) == (ACK, None)
    (event,) = take.events
    assert seen(event.readings[0])["value"] == "93"


def test_a_test_without_a_metric_is_named_and_acknowledged() -> None:
    talk = astm.conversation({})
    talk.received(ENQ + _frame(1, HEADER), NOW)
    (take,) = talk.received(_frame(2, RESULT.replace(b"Glucose", b"Ketone")), NOW)
    assert take == Take((), ACK, None, ("Ketone",))


def test_a_record_over_several_frames_is_one_result() -> None:
    talk = astm.conversation({})
    talk.received(ENQ + _frame(1, HEADER), NOW)
    assert talk.received(_frame(2, RESULT[:20], is_last=False), NOW) == (Say(ACK),)
    (take,) = talk.received(_frame(3, RESULT[20:]), NOW)
    assert isinstance(take, Take)


def test_on_a_line_nothing_is_read_before_the_header() -> None:
    talk = astm.conversation({})
    talk.received(ENQ, NOW)
    rejected, said = talk.received(_frame(1, RESULT), NOW)
    assert isinstance(rejected, Reject)
    assert said == Say(ACK)


def test_a_record_that_cannot_be_read_holds_up_nothing() -> None:
    talk = astm.conversation({})
    talk.received(ENQ + _frame(1, HEADER), NOW)
    rejected, said = talk.received(_frame(2, RESULT.replace(b"93", b"many")), NOW)
    assert isinstance(rejected, Reject)
    assert said == Say(ACK)
    (take,) = talk.received(_frame(3, RESULT), NOW)
    assert isinstance(take, Take)


def test_a_result_that_cannot_be_read_is_kept_a_patient_is_not() -> None:
    talk = astm.conversation({})
    talk.received(ENQ + _frame(1, HEADER), NOW)
    result = RESULT.replace(b"93", b"many")
    for number, record, kept in ((2, result, result), (3, b"P|1|" + b"7" * 300, b"")):
        rejected, _ = talk.received(_frame(number, record), NOW)
        assert isinstance(rejected, Reject)
        assert rejected.octets == kept


@pytest.mark.parametrize(
    ("header", "field", "identifier"),
    [
        (HEADER, b"A&F&B", "A|B"),
        (HEADER, b"Parker &E& Sons", "Parker & Sons"),
        (HEADER, b"A&S&B&R&C&X44&", "A^B\\CD"),
        (HEADER, b"A&Z1&B", "A&Z1&B"),  # what only the maker knows stays: A&Z2&B is another
        (HEADER, b"A&B", "A&B"),  # one that ends nowhere
        (b"H|\\^%", b"A%F%B&F&", "A|B&F&"),
    ],
)
def test_a_patient_is_known_by_the_text_that_was_meant(
    header: bytes, field: bytes, identifier: str
) -> None:
    """E1394-97, 6.6: escapes by the delimiters of H; "Parker &E& Sons" is IRIS for Health's."""
    talk = astm.conversation({})
    talk.received(ENQ + _frame(1, header) + _frame(2, b"P|1||" + field), NOW)
    (take,) = talk.received(_frame(3, RESULT), NOW)
    assert isinstance(take, Take)
    assert take.events[0].subject == Subject("patient", "", identifier)


@pytest.mark.parametrize("unreadable", [b"P|2|" + b"7" * 300, b"P|2||" + b"x" * MAX_RECORD])
def test_a_result_after_a_patient_who_cannot_be_read_is_nobodys(unreadable: bytes) -> None:
    """Not the patient's before, nor the device's own; the next patient's are taken again."""
    talk = astm.conversation({})
    talk.received(ENQ + _frame(1, HEADER) + _frame(2, b"P|1||ONE"), NOW)
    talk.received(_frame(3, unreadable[:40_000], is_last=False), NOW)
    talk.received(_frame(4, unreadable[40_000:]), NOW)
    rejected, said = talk.received(_frame(5, RESULT), NOW)
    assert isinstance(rejected, Reject)
    assert rejected.octets == RESULT
    assert said == Say(ACK)
    talk.received(_frame(6, b"P|3||THREE"), NOW)
    (take,) = talk.received(_frame(7, RESULT), NOW)
    assert isinstance(take, Take)
    assert take.events[0].subject == Subject("patient", "", "THREE")


def test_the_same_result_makes_the_same_event_and_the_patient_is_its_subject() -> None:
    events = []
    for number in (b"1", b"9"):
        talk = astm.conversation({})
        talk.received(ENQ + _frame(1, HEADER) + _frame(2, b"P|1|77||"), NOW)
        (take,) = talk.received(_frame(3, RESULT.replace(b"R|1", b"R|" + number)), NOW)
        assert isinstance(take, Take)
        events.append(take.events)
    assert events[0] == events[1]
    assert events[0][0].subject == Subject("patient", "", "77")


def test_a_query_is_answered_that_there_is_no_information() -> None:
    talk = astm.conversation({})
    talk.received(ENQ + _frame(1, HEADER) + _frame(2, b"Q|1|ALL"), NOW)
    assert talk.received(EOT, NOW) == (Say(ENQ),)
    assert talk.received(ACK, NOW) == (Say(_frame(1, b"H|\\^&\r")),)
    assert talk.received(ACK, NOW) == (Say(_frame(2, b"L|1|I\r")),)
    assert talk.received(ACK, NOW) == (Say(EOT),)
