"""ISO/IEEE 11073-20601: every vector; the manager against APDUs of another implementation."""

from typing import Any

import msgspec
import pytest

from support.vectors import Case, cases, expected, octets, seen
from wardlight_edge.devices import HangUp, Now, Reject, Say, Subject, Take, Tell, apdu
from wardlight_edge.devices._apdu.conversation import CONFIGURATION_MS, State
from wardlight_shared.errors import ConfigError, DecodeError
from wardlight_shared.model import Flag

NOW = Now(0, 0)
# All from signove/antidote, tests/resources/apdu.
AARQ_UNKNOWN = bytes.fromhex(
    "E2000032800000000001002A50790026800000008000800000000000000000800000000800220922580803CC4000"
    "0001010000000000"
)
AARQ_02BC = bytes.fromhex(
    "E2000032800000000001002A5079002680000000A0008000000040000000008000000008112233445566770702BC"
    "8480010100000000"
)
AARQ_0190 = AARQ_02BC[:44] + bytes.fromhex("0190") + AARQ_02BC[46:]
AARE_KNOWN = bytes.fromhex(
    "E300002C00035079002680000000800080000000000000008000000000081122334455667788000000000000"
    "00000000"
)
CONFIG_ACCEPTED = bytes.fromhex("E7000016001400010201000E0000FFFFFFFF0D1C000440000000")
RLRQ = bytes.fromhex("E40000020000")
RLRE = bytes.fromhex("E50000020000")
ABRT = bytes.fromhex("E60000020000")
ABRT_CONFIGURATION = bytes.fromhex("E60000020003")


def _hex(name: str) -> list[bytes]:
    """The APDUs of a vector."""
    whole = next(octets(case) for case in cases("apdu") if case["name"].startswith(name))
    found = []
    while whole:
        length = 4 + int.from_bytes(whole[2:4], "big")
        found.append(whole[:length])
        whole = whole[length:]
    return found


CONFIG, PERSON_REPORT = _hex("a configuration of its own")
REPORT = _hex("blood pressure, standard")[1]


@pytest.mark.parametrize("case", [pytest.param(each, id=each["name"]) for each in cases("apdu")])
def test_vector(case: Case) -> None:
    if "error" in case:
        with pytest.raises(DecodeError, match=case["error"]):
            apdu.decode_bytes(octets(case), {})
        return
    readings, info = apdu.decode_bytes(octets(case), {})
    assert [seen(reading) for reading in readings] == [expected(each) for each in case["expect"]]
    if "device" in case:
        stated: dict[str, Any] = msgspec.structs.asdict(info)
        assert {name: value for name, value in stated.items() if value} == case["device"]


def test_an_unknown_configuration_is_asked_for_and_accepted() -> None:
    talk = apdu.conversation({})
    told, said = talk.received(AARQ_UNKNOWN, NOW)
    assert isinstance(told, Tell)
    assert told.info.system_id == "00220922580803CC"
    assert isinstance(said, Say)
    # The same answer as the other implementation's, but for the manager's own EUI-64.
    assert said.octets[:30] == AARE_KNOWN[:30]
    assert said.octets[38:] == AARE_KNOWN[38:]
    assert said.octets[4:6] == b"\x00\x03", "accepted, configuration unknown"
    accepted, asked = talk.received(CONFIG, NOW)
    assert accepted == Say(CONFIG_ACCEPTED)
    assert asked == Say(bytes.fromhex("E700000E000C000101030006000000000000"))  # get MDS
    assert talk.state is State.OPERATING


def test_a_standard_configuration_is_known() -> None:
    talk = apdu.conversation({})
    _, said, _ = talk.received(AARQ_02BC, NOW)
    assert isinstance(said, Say)
    assert said.octets[4:6] == b"\x00\x00"
    assert talk.state is State.OPERATING


def test_a_confirmed_report_is_answered_by_its_take_alone() -> None:
    talk = apdu.conversation({})
    talk.received(AARQ_02BC, NOW)
    (take,) = talk.received(REPORT, NOW)
    assert isinstance(take, Take)
    # invoke id 0054, result of a confirmed event report, MDS, its time, fixed report, nothing more
    assert take.answer == bytes.fromhex("E7000012001000540201000A0000004900500D1D0000")
    assert take.refusal is None
    (event,) = take.events
    assert len(event.readings) == 4
    assert event.subject == Subject("monitor", "", "1122334455667707")


def test_a_report_sent_again_is_answered_and_not_taken_twice() -> None:
    talk = apdu.conversation({})
    talk.received(AARQ_02BC, NOW)
    (take,) = talk.received(REPORT, NOW)
    assert isinstance(take, Take)
    assert talk.received(REPORT, NOW) == (Say(take.answer),)


def test_persons_and_times_are_events_of_their_own() -> None:
    talk = apdu.conversation({})
    talk.received(AARQ_UNKNOWN + CONFIG, NOW)
    (take,) = talk.received(PERSON_REPORT, NOW)
    assert isinstance(take, Take)
    assert [each.user for each in take.events[0].readings] == [66] * 4


def test_what_has_no_metric_is_answered_and_named() -> None:
    """A bit string of pulse quality and a number of 19444 beside a temperature."""
    association, config, report = _hex("an enumeration and a number without a metric")
    talk = apdu.conversation({})
    talk.received(association + config, NOW)
    (take,) = talk.received(report, NOW)
    assert isinstance(take, Take)
    assert take.ignored == ("150580", "150516")  # 2 << 16 | 19508, 2 << 16 | 19444
    assert take.answer
    assert [len(event.readings) for event in take.events] == [1]


# A variable report of one SpO2 with Relative-Time-Stamp 0x11111111 by antidote's layout; the
# report's own relative time stands at 12. One tick is 125 us (20601 A.2, RelativeTime).
RELATIVE = (
    "E700002E002C1238010100260000222222220D1E001CF00000000001001400010002000E0A4C0002"
    "00620991000411111111"
)


def _relative(counter: int, stamp: int = 0x11111111) -> tuple[int, int]:
    """Age in ms and flags of a reading with this stamp in a report at this count."""
    report = bytes.fromhex(RELATIVE.replace("22222222", f"{counter:08X}"))
    report = report.replace(bytes.fromhex("11111111"), stamp.to_bytes(4, "big"))
    talk = apdu.conversation({})
    talk.received(AARQ_0190, NOW)
    (take,) = talk.received(report, NOW)
    assert isinstance(take, Take)
    (event,) = take.events
    (reading,) = event.readings
    assert reading.time is None
    return event.age_ms, reading.flags


@pytest.mark.parametrize(
    ("counter", "stamp", "age_ms", "flags"),
    [
        (80_000, 80_000, 0, 0),
        (80_000, 0, 10_000, 0),
        (8 * 60_008, 0, 60_008, Flag.FROM_STORAGE),
        (8000, 0xFFFFFFFE, 1000, 0),  # the counter has wrapped: 8002 ticks
        (80_000, 80_800, 0, 0),  # read a moment before it was stamped
        (0xFFFFFFFF, 80_000, 0, Flag.DEVICE_CLOCK_UNSET),  # the agent shows no counter
        (80_000, 0xFFFFFFFF, 0, Flag.DEVICE_CLOCK_UNSET),
    ],
)
def test_a_relative_stamp_is_an_age(counter: int, stamp: int, age_ms: int, flags: int) -> None:
    assert _relative(counter, stamp) == (age_ms, flags)


# The same with HiRes-Time-Stamp (0x09E9), 8 octets of 1 us; the device's own attributes with
# HiRes-Relative-Time (0x09E8), as antidote's mds.c lays them out.
HIGH = (
    "E7000032003012380101002A0000000022220D1E0020F0000000000100180001000200120A4C0002006209E90008"
)
DEVICE = "E700001A001800010203001200000001000C09E80008"
HOUR_US = 3_600_000_000


def _high(shown_us: int | None, after_ms: int, stamp_us: int) -> tuple[int, int]:
    """Age in ms and flags of a reading whose stamp comes ``after_ms`` the counter was shown."""
    talk = apdu.conversation({})
    talk.received(AARQ_0190, NOW)
    if shown_us is not None:
        (told,) = talk.received(bytes.fromhex(DEVICE) + shown_us.to_bytes(8, "big"), NOW)
        assert isinstance(told, Tell)
    later = Now(NOW.mono_ms + after_ms, NOW.wall_ms + after_ms)
    (take,) = talk.received(bytes.fromhex(HIGH) + stamp_us.to_bytes(8, "big"), later)
    assert isinstance(take, Take)
    (event,) = take.events
    (reading,) = event.readings
    assert reading.time is None
    return event.age_ms, reading.flags


@pytest.mark.parametrize(
    ("shown_us", "after_ms", "stamp_us", "age_ms", "flags"),
    [
        (HOUR_US, 0, HOUR_US, 0, 0),
        (HOUR_US, 2500, HOUR_US, 2500, 0),
        (HOUR_US, 2500, HOUR_US + 2_499_400, 0, 0),
        (HOUR_US, 0, HOUR_US - 60_008_000, 60_008, Flag.FROM_STORAGE),
        (HOUR_US, 0, HOUR_US + 100_000, 0, 0),  # read a moment before it was stamped
        (HOUR_US, 0, HOUR_US + 60_000_000, 0, Flag.DEVICE_CLOCK_UNSET),  # from before a restart
        (1 << 63, 0, 5, 0, Flag.DEVICE_CLOCK_UNSET),  # 292,000 years
        ((1 << 64) - 1, 0, (1 << 64) - 1, 0, 0),
        (None, 0, HOUR_US, 0, Flag.DEVICE_CLOCK_UNSET),  # the agent shows no counter
    ],
)
def test_a_high_resolution_stamp_is_an_age(
    shown_us: int | None, after_ms: int, stamp_us: int, age_ms: int, flags: int
) -> None:
    assert _high(shown_us, after_ms, stamp_us) == (age_ms, flags)


def test_a_new_association_knows_no_counter() -> None:
    talk = apdu.conversation({})
    talk.received(AARQ_0190, NOW)
    talk.received(bytes.fromhex(DEVICE) + HOUR_US.to_bytes(8, "big"), NOW)
    talk.received(ABRT, NOW)
    talk.received(AARQ_0190, NOW)
    (take,) = talk.received(bytes.fromhex(HIGH) + HOUR_US.to_bytes(8, "big"), NOW)
    assert isinstance(take, Take)
    assert take.events[0].readings[0].flags == Flag.DEVICE_CLOCK_UNSET


@pytest.mark.parametrize("octets", ["", "00" * 7])
def test_a_high_resolution_counter_has_8_octets(octets: str) -> None:
    talk = apdu.conversation({})
    talk.received(AARQ_0190, NOW)
    length = len(octets) // 2
    lengths = "".join(f"{length + each:04X}" for each in (18, 16, 10))
    got = f"E700{lengths[:4]}{lengths[4:8]}00010203{lengths[8:]}00000001{length + 4:04X}09E8"
    rejected, said = talk.received(bytes.fromhex(f"{got}{length:04X}{octets}"), NOW)
    assert isinstance(rejected, Reject)
    assert "high-resolution" in rejected.reason
    assert said == Say(ABRT)


def test_scanners_are_told_to_report() -> None:
    config = _hex("pulse oximeter: grouped report of the periodic")[0]
    talk = apdu.conversation({})
    talk.received(AARQ_UNKNOWN, NOW)
    said = [each.octets for each in talk.received(config, NOW) if isinstance(each, Say)]
    # As in antidote's description of "Episodic Scanner - Confirmed SET", handles 0x37 and 0x28.
    assert bytes.fromhex("E7000016001400020105000E0037000100080000095300020001") in said
    assert bytes.fromhex("E7000016001400030105000E0028000100080000095300020001") in said


def test_release_and_abort_end_the_association() -> None:
    talk = apdu.conversation({})
    talk.received(AARQ_02BC, NOW)
    assert talk.received(RLRQ, NOW) == (Say(RLRE),)
    assert talk.state is State.UNASSOCIATED
    talk.received(AARQ_02BC, NOW)
    assert talk.received(ABRT, NOW) == ()
    assert talk.received(REPORT, NOW) == (Say(ABRT),)


def test_a_second_association_is_aborted() -> None:
    talk = apdu.conversation({})
    talk.received(AARQ_02BC, NOW)
    assert talk.received(AARQ_02BC, NOW) == (Say(ABRT),)


def test_no_configuration_within_10_seconds_is_aborted() -> None:
    talk = apdu.conversation({})
    talk.received(AARQ_UNKNOWN, Now(5000, 0))
    assert talk.due_ms == 5000 + CONFIGURATION_MS == 15_000
    assert talk.waited(Now(14_999, 0)) == ()
    assert talk.waited(Now(15_000, 0)) == (Say(ABRT_CONFIGURATION),)


def test_a_report_before_the_configuration_is_aborted() -> None:
    talk = apdu.conversation({})
    talk.received(AARQ_UNKNOWN, NOW)
    rejected, said = talk.received(REPORT, NOW)
    assert isinstance(rejected, Reject)
    assert said == Say(ABRT)


def test_another_protocol_is_refused() -> None:
    other = AARQ_02BC.replace(bytes.fromhex("5079"), bytes.fromhex("FFFF"))
    (said,) = apdu.conversation({}).received(other, NOW)
    assert isinstance(said, Say)
    assert said.octets[4:6] == b"\x00\x04"


def test_what_is_no_apdu_ends_the_link() -> None:
    actions = apdu.conversation({}).received(b"HTTP/1.1 200", NOW)
    assert isinstance(actions[-1], HangUp)


def test_options_that_are_none() -> None:
    with pytest.raises(ConfigError):
        apdu.conversation({"colour": 1})
