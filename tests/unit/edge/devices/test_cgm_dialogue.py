"""The conversation with a continuous glucose monitor: its session, its records, its numbers."""

import pytest

from wardlight_edge.devices import Fetched, Read, Reject, Steps, Write, cgm
from wardlight_edge.devices._cgm_session import decode_feature, decode_operation, decode_start
from wardlight_edge.devices._dialogue import Bookmark, Dialogue, Done
from wardlight_edge.devices._e2e_crc import crc16, with_crc
from wardlight_shared.model import DeviceTime, Flag

# 2026-11-22 07:30:05, UTC+01:00 (4 quarters), no daylight saving; by hand, GSS Date Time, Time Zone
START = bytes.fromhex("EA07 0B 16 07 1E 05 04 00")
NO_START = bytes.fromhex("0000 00 00 00 00 00 80 FF")
FEATURE = bytes.fromhex("000000 59 FFFF")
FEATURE_CRC = with_crc(bytes.fromhex("001000 59"))
RUN_TIME = bytes([1, 0])  # one hour
INTERVAL = bytes([3, 5])
SENT = bytes([6, 0, 1, 1])


def record(offset: int, value: int = 120) -> bytes:
    return bytes([6, 0, value, 0]) + offset.to_bytes(2, "little")


def begun(
    start: bytes = START, feature: bytes = FEATURE, dialogue: Dialogue | None = None, count: int = 2
) -> Dialogue:
    """A conversation in the middle of its report, 10 minutes into its session."""
    dialogue = dialogue or cgm.dialogue({}, {})
    values = {
        "0x2AA8": feature,
        "0x2AAA": start,
        "0x2AAB": RUN_TIME,
        "0x2AA9": (10).to_bytes(2, "little") + bytes(3),
    }
    steps = dialogue.begin(0)
    while isinstance(steps[-1], Read):
        channel = steps[-1].channel
        steps = dialogue.value(channel, values[channel], 0)
    assert isinstance(steps[-1], Write)
    assert steps[-1].channel == "0x2AAC"
    (ask,) = dialogue.value("0x2AAC", INTERVAL, 0)
    assert isinstance(ask, Write)
    dialogue.value("0x2A52", bytes([5, 0, count, 0]), 0)
    return dialogue


def fetched(steps: Steps) -> list[Fetched]:
    return [step for step in steps if isinstance(step, Fetched)]


def test_a_record_is_dated_by_the_start_of_its_session() -> None:
    (event,) = fetched(begun().value("0x2AA7", record(95), 0))
    (reading,) = event.readings
    assert reading.time == DeviceTime(2026, 11, 22, 9, 5, 5, 60)
    assert reading.record == 95
    assert event.age_ms == 0


def test_several_records_of_a_notification_are_events_each() -> None:
    events = fetched(begun().value("0x2AA7", record(5) + record(10) + record(15), 0))
    assert [event.readings[0].record for event in events] == [5, 10, 15]
    assert len({event.name for event in events}) == 3


def test_without_a_start_the_devices_own_minutes_say_how_old_a_record_is() -> None:
    dialogue = begun(NO_START)
    (event,) = fetched(dialogue.value("0x2AA7", record(4), 30_000))
    assert event.readings[0].time is None
    assert event.age_ms == 6 * 60_000 + 30_000


def test_what_is_measured_meanwhile_waits_for_the_start() -> None:
    dialogue = cgm.dialogue({}, {})
    dialogue.begin(0)
    assert dialogue.value("0x2AA7", record(10), 0) == ()
    for channel, octets in (
        ("0x2AA8", FEATURE),
        ("0x2AAA", START),
        ("0x2AAB", RUN_TIME),
        ("0x2AA9", bytes(5)),
    ):
        dialogue.value(channel, octets, 0)
    (event,) = fetched(dialogue.value("0x2AAC", INTERVAL, 0))
    assert event.readings[0].time == DeviceTime(2026, 11, 22, 7, 40, 5, 60)


def test_a_record_after_the_sensors_life_is_questionable() -> None:
    events = fetched(begun().value("0x2AA7", record(60) + record(61), 0))
    assert [bool(each.readings[0].flags & Flag.QUESTIONABLE) for each in events] == [False, True]


def test_a_crc_that_the_device_supports_must_be_there() -> None:
    dialogue = begun(feature=FEATURE_CRC)
    checked = with_crc(bytes([8]) + record(10)[1:])
    assert [type(step) for step in dialogue.value("0x2AA7", checked, 0)] == [Fetched]
    (reject,) = dialogue.value("0x2AA7", record(15), 0)
    assert reject == Reject(record(15), "0x2AA7: its E2E-CRC is missing")


def test_one_spoilt_record_costs_no_other() -> None:
    spoilt = bytes([8]) + record(10)[1:] + b"\0\0"
    steps = begun().value("0x2AA7", record(5) + spoilt + record(15), 0)
    assert [type(step) for step in steps] == [Fetched, Reject, Fetched]


def test_records_of_another_session_are_other_records() -> None:
    """A new sensor: its minutes begin anew, and the bookmark of the one before says nothing."""
    dialogue = begun()
    dialogue.value("0x2AA7", record(5) + record(10), 0)
    assert dialogue.value("0x2A52", SENT, 0) == (Done(2),)
    dialogue.committed()
    assert dialogue.bookmarks[""] == Bookmark(10, dialogue.bookmarks[""].mark, START.hex())
    dialogue.link_lost()
    begun(START[:-3] + bytes([6, 4, 0]), dialogue=dialogue, count=1)
    (event,) = fetched(dialogue.value("0x2AA7", record(5), 0))
    assert event.name == START[:-3] + bytes([6, 4, 0]) + record(5)


def test_a_device_that_tells_nothing_of_its_session_gives_its_records() -> None:
    dialogue = cgm.dialogue({}, {})
    steps = dialogue.begin(0)
    while isinstance(steps[-1], Read):
        steps = dialogue.refused(steps[-1].channel, None, 0)
    (ask,) = dialogue.refused("0x2AAC", None, 0)
    assert ask == Write("0x2A52", bytes([4, 1]))


def test_a_control_point_that_is_silent_is_done_without() -> None:
    dialogue = cgm.dialogue({}, {})
    steps = dialogue.begin(0)
    while isinstance(steps[-1], Read):
        steps = dialogue.refused(steps[-1].channel, None, 0)
    assert dialogue.deadline_ms == 30_000
    assert dialogue.tick(29_999) == ()
    assert dialogue.tick(30_000) == (Write("0x2A52", bytes([4, 1])),)


def test_the_control_point_is_only_asked() -> None:
    """Nothing that sets an alert, calibrates, starts or stops is ever written."""
    dialogue = cgm.dialogue({}, {})
    steps = dialogue.begin(0)
    values = {"0x2AA8": FEATURE_CRC, "0x2AAA": START, "0x2AAB": RUN_TIME, "0x2AA9": bytes(5)}
    while isinstance(steps[-1], Read):
        steps = dialogue.value(steps[-1].channel, values[steps[-1].channel], 0)
    assert steps == (Write("0x2AAC", with_crc(b"\x02")),)


@pytest.mark.parametrize(
    ("octets", "crc"),
    [
        (b"A", 0x5C0A),
        (b"123456789", 0x6F91),
        (bytes.fromhex("58251F98"), 0x07F1),
        (bytes.fromhex("3E 01 02 03 04 05 06 07 08 09"), 0x2F01),
    ],
)
def test_the_crc_of_published_examples(octets: bytes, crc: int) -> None:
    """NordicSemiconductor/Android-BLE-Common-Library, CRC16Test; the last is that of CGMS 3.11."""
    assert crc16(octets) == crc


def test_parts_of_a_session() -> None:
    assert not decode_feature(FEATURE)
    assert decode_feature(FEATURE_CRC)
    assert decode_start(NO_START).time is None
    unknown_zone = decode_start(START[:7] + bytes([0x80, 0])).time
    assert unknown_zone == DeviceTime(2026, 11, 22, 7, 30, 5)
    assert decode_operation(INTERVAL) == 5
    assert decode_operation(bytes([3, 0])) is None
    assert decode_operation(bytes([0x1C, 2, 2])) is None
