"""HL7: every vector, its acknowledgement, and what a hostile sender cannot do."""

from typing import Any

import msgspec
import pytest

from support.vectors import Case, cases, expected, seen
from wardlight_edge.devices import (
    Action,
    HangUp,
    Now,
    Reject,
    Say,
    Subject,
    Take,
    Tell,
    hl7,
)
from wardlight_edge.devices._hl7.errors import Hl7Error
from wardlight_edge.devices._hl7.observations import MOST_UNFIT
from wardlight_shared.errors import ConfigError
from wardlight_shared.model import DeviceInfo

NOW = Now(0, 1_767_614_400_000)  # 2026-01-05T12:00:00Z
HEADER = b"MSH|^~\\&|a|b|||1||ORU^R01|4711|P|2.6"
RESULT = b"OBX|1|NM|147842^MDC_ECG_HEART_RATE^MDC||72|/min^^UCUM|||||F"
CASES = [pytest.param(case, id=case["name"]) for case in cases("hl7")]


def _octets(case: Case) -> bytes:
    text: str = case["text"]
    return text.strip().replace("\n", "\r").encode()


def _framed(octets: bytes) -> bytes:
    return b"\x0b" + octets + b"\x1c\r"


def _received(octets: bytes, **options: int) -> tuple[Action, ...]:
    return hl7.conversation(options).received(octets, NOW)


def _lines(answer: bytes) -> list[list[str]]:
    assert answer[:1] == b"\x0b"
    assert answer[-3:] == b"\r\x1c\r"
    return [line.split("|") for line in answer[1:-3].decode().split("\r")]


def _as_stated(info: DeviceInfo) -> dict[str, Any]:
    return {name: value for name, value in msgspec.structs.asdict(info).items() if value}


@pytest.mark.parametrize("case", CASES)
def test_vector(case: Case) -> None:
    for wrong in [case] if "error" in case else case.get("left_out", [])[:1]:
        with pytest.raises(Hl7Error) as raised:
            hl7.decode_bytes(_octets(case), {})
        assert wrong["error"] in str(raised.value)
        assert raised.value.condition == wrong["condition"]
        return
    readings, info = hl7.decode_bytes(_octets(case), {})
    assert [seen(reading) for reading in readings] == [expected(each) for each in case["expect"]]
    if "device" in case:
        assert _as_stated(info) == case["device"]


@pytest.mark.parametrize("case", CASES)
def test_a_vector_is_answered(case: Case) -> None:
    actions = _received(_framed(_octets(case)))
    if "error" not in case:
        told, *rejected_alone, taken = actions
        assert isinstance(told, Tell)
        assert isinstance(taken, Take)
        assert [seen(reading) for event in taken.events for reading in event.readings] == [
            expected(each) for each in case["expect"]
        ]
        _, answer, *warnings = _lines(taken.answer)
        assert answer[1] == "AA"
        assert _lines(taken.refusal or b"")[1][1] == "AE"
        _are_left_out(case.get("left_out", []), rejected_alone, warnings)
        return
    rejected, said = actions
    assert isinstance(rejected, Reject)
    assert isinstance(said, Say)
    lines = _lines(said.octets)
    code = "AR" if case["condition"] == 200 or case["name"] == "no header" else "AE"
    assert lines[1][1] == code
    assert lines[2][0] == "ERR"
    assert lines[2][3].startswith(f"{case['condition']}^")


def _are_left_out(
    left_out: list[dict[str, Any]], rejected: list[Action], warnings: list[list[str]]
) -> None:
    """Each is quarantined with its reason, and the sender is told of each."""
    assert len(rejected) == len(warnings) == len(left_out)
    for wrong, reject, warning in zip(left_out, rejected, warnings, strict=True):
        assert isinstance(reject, Reject)
        assert wrong["error"] in reject.reason
        place = wrong["error"].split(":")[0]
        header, segment = reject.octets.split(b"\r")
        assert header.startswith(b"MSH|")
        assert segment.startswith(f"OBX|{place.split('^')[1]}|".encode())
        assert (warning[0], warning[2], warning[4]) == ("ERR", place, "W")
        assert warning[3].startswith(f"{wrong['condition']}^")
        assert warning[8]


def test_a_message_of_which_most_does_not_fit_is_refused() -> None:
    """Answers and quarantine are bounded, whatever a message holds."""
    wrong = b"OBX|1|NM|147842^MDC_ECG_HEART_RATE^MDC||72|psi|||||F"
    message = b"\r".join([HEADER, b"PID|||X", RESULT, *[wrong] * (MOST_UNFIT + 1)])
    rejected, said = _received(_framed(message))
    assert isinstance(rejected, Reject)
    assert isinstance(said, Say)
    assert _lines(said.octets)[1] == ["MSA", "AE", "4711"]


def test_the_acknowledgement_turns_sender_and_receiver_round() -> None:
    message = b"MSH|^~\\&|MON|ICU|GW|SITE|20260105120000||ORU^R01|4711|P|2.4\rPID|||X"
    (_, taken) = _received(_framed(message))
    assert isinstance(taken, Take)
    header, answer = _lines(taken.answer)
    assert header[2:7] == ["GW", "SITE", "MON", "ICU", "20260105120000+0000"]
    assert (header[8], header[10], header[11]) == ("ACK^R01^ACK", "P", "2.4")
    assert answer == ["MSA", "AA", "4711"]


def test_no_acknowledgement_where_none_is_wanted() -> None:
    message = b"MSH|^~\\&|M|F|||20260105120000||ORU^R01|1|P|2.6|||NE|NE\rPID|||X"
    (_, taken) = _received(_framed(message))
    assert isinstance(taken, Take)
    assert (taken.answer, taken.refusal) == (b"", b"")


def _with_pid(field: str) -> bytes:
    return (
        "MSH|^~\\&|MON|ICU|||20260105120000||ORU^R01|1|P|2.6\r"
        f"PID|||{field}||Lovelace^Ada\rPV1||I|ICU^2^7\r"
        "OBX|1|NM|147842^MDC_ECG_HEART_RATE^MDC||72|264864^MDC_DIM_BEAT_PER_MIN^MDC|||||F"
    ).encode()


@pytest.mark.parametrize(
    ("field", "subject"),
    [
        ("77^^^CLINIC^MR", Subject("patient", "CLINIC", "77")),
        ("SSN1^^^GOV^SS~77^^^CLINIC^MR", Subject("patient", "CLINIC", "77")),
        ("12^^^CLINIC^PI~77^^^CLINIC^MR", Subject("patient", "CLINIC", "77")),
        ("SSN1^^^GOV^SS", Subject("patient", "GOV", "SSN1")),
        ("77", Subject("patient", "", "77")),
        ("", Subject("monitor", "", "ICU^2^7")),
        ("^^^CLINIC^MR", Subject("monitor", "", "ICU^2^7")),
        ('""', Subject("monitor", "", "ICU^2^7")),
        ("A\\F\\B\\X43\\", Subject("patient", "", "A|BC")),
        ("A\\Zx\\B", Subject("patient", "", "A\\Zx\\B")),  # unknown here: A\Zy\B is another
        ("A\\B", Subject("patient", "", "A\\B")),  # one that ends nowhere
        ("A\\H\\B\\N\\", Subject("patient", "", "AB")),  # highlighted
    ],
)
def test_whose_it_is(field: str, subject: Subject) -> None:
    (_, taken) = _received(_framed(_with_pid(field)))
    assert isinstance(taken, Take)
    (event,) = taken.events
    assert event.subject == subject


def test_nothing_that_names_a_patient_is_kept_or_said() -> None:
    message = _with_pid("MRN-90210^^^CLINIC^MR")
    for broken in (message.replace(b"|72|", b"|x|"), message.replace(b"R01", b"R99")):
        for action in _received(_framed(broken)):
            for secret in ("MRN-90210", "Lovelace", "CLINIC"):
                assert secret not in str(action)
    (_, taken) = _received(_framed(message))
    assert isinstance(taken, Take)
    assert b"MRN-90210" not in taken.answer + (taken.refusal or b"")
    assert b"MRN-90210" not in taken.events[0].raw + taken.events[0].token


def test_a_message_sent_again_makes_the_same_events() -> None:
    octets = _octets(cases("hl7")[0])
    renumbered = octets.replace(b"OBX||", b"OBX|7|")
    (_, first) = _received(_framed(octets))
    (_, again) = _received(_framed(octets))
    (_, other) = _received(_framed(renumbered))
    assert isinstance(first, Take)
    assert isinstance(again, Take)
    assert isinstance(other, Take)
    assert first.events == again.events
    assert [each.raw for each in other.events] == [each.raw for each in first.events]


UNREADABLE = {
    "a line that is no segment": (HEADER + b"\rPID|||X\r\x00\x00\r" + RESULT, "100"),
    "a second MSH": (HEADER + b"\rPID|||X\r" + RESULT + b"\r" + HEADER, "100"),
    "a character set that is not read": (HEADER + b"||||||ISO IR87\rPID|||X\r" + RESULT, "103"),
    "a byte that is not of the set": (
        HEADER + b"||||||UNICODE UTF-8\rPID|||X\xff\r" + RESULT,
        "102",
    ),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cannot_be_parsed_is_answered_by_its_id_and_kept_without_its_patient(
    name: str,
) -> None:
    """MSA-2 is MSH-10 (HL7 v2.6, 2.14.1.2): without it no sender knows which message it was."""
    octets, condition = UNREADABLE[name]
    rejected, said = _received(_framed(octets))
    assert isinstance(rejected, Reject)
    assert isinstance(said, Say)
    lines = _lines(said.octets)
    assert lines[1] == ["MSA", "AE", "4711"]
    assert lines[2][3].startswith(f"{condition}^")
    assert rejected.octets.startswith(HEADER)
    assert RESULT in rejected.octets.split(b"\r")
    assert b"PID" not in rejected.octets


def test_segments_that_nothing_parts_are_not_kept() -> None:
    """A separator that is none joins a patient to a header: of such a line nothing may be kept."""
    rejected, _ = _received(_framed(HEADER + b"\x1ePID|||SECRET\r\x00\r" + RESULT))
    assert isinstance(rejected, Reject)
    assert rejected.octets == RESULT


def test_a_message_that_is_too_long_is_answered_by_its_id() -> None:
    said, _, _ = _received(b"\x0b" + HEADER + b"\r" + b"x" * 3000, max_message_bytes=2048)
    assert isinstance(said, Say)
    assert _lines(said.octets)[1] == ["MSA", "AE", "4711"]


def test_a_message_that_is_too_long_ends_the_link() -> None:
    said, rejected, ended = _received(b"\x0bMSH|" + b"x" * 3000, max_message_bytes=2048)
    assert isinstance(said, Say)
    assert _lines(said.octets)[1][1:] == ["AR", ""]
    assert isinstance(rejected, Reject)
    assert rejected.octets == b""
    assert isinstance(ended, HangUp)


def test_a_message_cut_off_by_the_next_is_lost_alone() -> None:
    whole = _octets(cases("hl7")[0])
    conversation = hl7.conversation({})
    actions = conversation.received(b"\x0b" + whole[:40] + _framed(whole), NOW)
    assert sum(isinstance(each, Take) for each in actions) == 1
    assert (conversation.counts.frames, conversation.counts.damaged) == (1, 1)


@pytest.mark.parametrize("written", [b"|72|", b"|20260105120000|"])
def test_digits_are_those_of_ascii(written: bytes) -> None:
    """NM and DTM hold digits 0 to 9 (HL7 v2.6, 2.A.47, 2.A.22), not those of every script."""
    other = written.decode().translate({ord("0") + n: 0x0660 + n for n in range(10)})
    with pytest.raises(Hl7Error):
        hl7.decode_bytes(_with_pid("1").replace(written, other.encode()), {})


def test_a_second_without_a_calendar_is_kept_without_time() -> None:
    message = _with_pid("1").replace(b"20260105120000", b"20260231120000")
    (reading,) = hl7.decode_bytes(message, {})[0]
    assert reading.time is None
    assert seen(reading)["flags"] == {"DEVICE_CLOCK_UNSET"}


@pytest.mark.parametrize("options", [{"colour": 1}, {"max_message_bytes": 10}])
def test_options_that_are_none(options: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        hl7.conversation(options)
