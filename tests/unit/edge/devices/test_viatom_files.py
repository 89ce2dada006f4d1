"""The files of a ring: fetched beside its live values, each second once, nothing deleted."""

from datetime import timedelta

import pytest

from support.ring import NIGHT, Wearing, values_of
from wardlight_edge.devices import (
    Bookmark,
    ClockShown,
    Done,
    Fetched,
    Passed,
    Reject,
    Trouble,
    event_id,
    viatom_o2,
)
from wardlight_edge.devices import _viatom_frames as frames
from wardlight_edge.devices._viatom_coverage import Coverage
from wardlight_lab.devices.ring_files import CLOSE, INFO, LIVE, OPEN, READ, RingFiles
from wardlight_shared.errors import ConfigError, DecodeError
from wardlight_shared.model import DeviceTime, Flag

MORNING = NIGHT + timedelta(hours=9)
ONLY_READS = {INFO, LIVE, OPEN, READ, CLOSE}


def texts(values: list[tuple[int, int]]) -> list[tuple[str, str]]:
    return [(str(spo2), str(pulse)) for spo2, pulse in values]


def test_frames_as_published() -> None:
    """ilyakruchinin/SomnoTrace, worked examples of its protocol page; o2r's live request."""
    assert frames.ask_info().hex() == "aa14eb00000000c6"
    assert frames.ask_live().hex() == "aa17e8000000001b"
    named = "aa03fc00001300" + b"20260116233312.vld\0".hex() + "f9"
    assert frames.open_file("20260116233312.vld").hex() == named
    assert [len(each) for each in frames.pieces(bytes.fromhex(named))] == [20, 7]
    assert frames.read_block(17).hex() == "aa04fb110000001b"
    assert frames.close_file().hex() == "aa05fa0000000021"
    opened = frames.reply_of(bytes.fromhex("5500ff00000400e80800006f"))
    assert (opened.result, int.from_bytes(opened.data, "little")) == (0, 2280)
    assert frames.reply_of(bytes.fromhex("5509f60000000018")).result == 9
    block = frames.reply_of(bytes.fromhex("5500ff00001400") + bytes(range(20)) + b"\xcf")
    assert block.data == bytes(range(20))


def test_info_as_a_ring_sent_it() -> None:
    """Model 1641, as its maker's own tester keeps it (api.viatomtech.com.cn, update/O2)."""
    told = (
        b'{"Region":"CE","Model":"1641","HardwareVer":"AA","SoftwareVer":"4.2.5","FileVer":"3",'
        b'"SN":"0","CurTIME":"2018-12-19,10:40:18","CurBAT":"100%","CurState":"0","BranchCode":"",'
        b'"FileList":"20180517151431,20180803143622,20180511010607,20180517114751,"}\0\0'
    )
    info = frames.info_of(told)
    assert info.clock == DeviceTime(2018, 12, 19, 10, 40, 18)
    assert info.files == (
        "20180517151431", "20180803143622", "20180511010607", "20180517114751",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "files"),
    [
        ('{"FileList":""}', ()),
        ('{"CurTIME":"2018-02-30,10:40:18","FileList":"../../etc,a b,x"}', ("x",)),
        ('{"CurTIME":"never","FileList":"[1,2,1]"}', ("1", "2")),
    ],
)
def test_info_of_a_ring_that_says_strange_things(text: str, files: tuple[str, ...]) -> None:
    info = frames.info_of(text.encode())
    assert info.clock is None
    assert info.files == files


@pytest.mark.parametrize("text", ["", "{", "[]", '{"FileList":7}', "\xff\xfe"])
def test_info_that_is_none(text: str) -> None:
    with pytest.raises(DecodeError, match="no JSON that it can be"):
        frames.info_of(text.encode("latin-1"))


def test_files_are_fetched_while_no_finger_is_in() -> None:
    ring = RingFiles(MORNING)
    first, second = values_of(700), values_of(90, 7)
    ring.record(NIGHT, first)
    ring.record(NIGHT + timedelta(hours=4), second)
    wearing = Wearing(ring)
    wearing.link()
    wearing.run(30)
    assert wearing.records() == texts(first + second)
    fetched = [step for step in wearing.told if isinstance(step, Fetched)]
    assert fetched[1].readings[0].time == DeviceTime(2026, 11, 20, 22, 15, 4)
    assert fetched[0].readings[0].flags & Flag.FROM_STORAGE
    names = {event_id("ble:1", each.readings, each.name) for each in fetched}
    assert len(names) == 790
    assert wearing.told[0] == ClockShown(DeviceTime(2026, 11, 21, 7, 15, 0))
    assert [step for step in wearing.told if isinstance(step, Done)] == [Done(790)]
    assert set(ring.requests) == ONLY_READS
    assert len(ring.files) == 2


def test_while_it_is_worn_only_live_values_are_asked_for() -> None:
    ring = RingFiles(NIGHT, worn=(97, 60))
    ring.record(NIGHT - timedelta(days=1), values_of(50))
    wearing = Wearing(ring)
    wearing.link()
    wearing.run(120)
    assert not wearing.records()
    assert sum(isinstance(step, Passed) for step in wearing.told) == 61
    ring.worn = None
    wearing.run(10)
    assert len(wearing.records()) == 50


def test_what_was_measured_live_is_not_told_again() -> None:
    """Ten minutes worn: live, out of reach for four minutes, live. The file fills the hole."""
    ring = RingFiles(NIGHT, worn=(97, 60))
    wearing = Wearing(ring)
    wearing.link()
    wearing.run(180)
    wearing.cut()
    wearing.away(240)
    wearing.link()
    wearing.run(180)
    ring.worn = None
    values = values_of(150)
    ring.record(NIGHT, values)
    wearing.run(70)
    assert wearing.records() == texts(values)[46:105], "from 184 s to 416 s"


def test_after_a_kill_the_last_minute_is_told_rather_twice_than_not() -> None:
    ring = RingFiles(NIGHT, worn=(97, 60))
    wearing = Wearing(ring)
    wearing.link()
    wearing.run(300)
    kept = wearing.dialogue.bookmarks
    ring.worn = None
    values = values_of(75)
    ring.record(NIGHT, values)
    again = Wearing(ring, kept)
    again.link()
    again.run(30)
    assert again.records() == texts(values)[61:], "from 244 s of 300 s"


def test_a_file_is_fetched_once_over_restarts() -> None:
    ring = RingFiles(MORNING)
    ring.record(NIGHT, values_of(40))
    wearing = Wearing(ring)
    wearing.link()
    wearing.run(20)
    assert wearing.dialogue.bookmarks[""].known == ("20261120221500",)
    again = Wearing(ring, wearing.dialogue.bookmarks)
    again.link()
    again.run(20)
    assert not again.records()
    del ring.files["20261120221500"]
    again.run(120)
    assert "" not in again.dialogue.bookmarks, "a file that is gone is forgotten"


@pytest.mark.parametrize("writes", [1, 2, 3, 4, 5, 6, 7, 9])
def test_the_next_link_goes_on_with_the_block_that_was_due(writes: int) -> None:
    ring = RingFiles(MORNING)
    values = values_of(600)
    ring.record(NIGHT, values)
    wearing = Wearing(ring)
    wearing.link()
    wearing.run(20, most_writes=writes)
    wearing.cut()
    ring.requests.clear()
    wearing.link()
    wearing.run(30)
    assert wearing.records() == texts(values)
    assert ring.requests.count(READ) <= 6 - max(0, writes - 5)


def test_a_ring_that_cuts_blocks_anew_is_read_from_the_start() -> None:
    ring = RingFiles(MORNING)
    values = values_of(600)
    ring.record(NIGHT, values)
    wearing = Wearing(ring)
    wearing.link()
    wearing.run(20, most_writes=6)
    wearing.cut()
    ring.block = 128
    wearing.link()
    wearing.run(30)
    assert wearing.records() == texts(values)


def test_a_file_that_cannot_be_decoded_is_kept_aside_once() -> None:
    ring = RingFiles(MORNING)
    ring.files["20261120221500"] = b"\x05\x00" + bytes(60)
    ring.record(NIGHT + timedelta(hours=1), values_of(30))
    wearing = Wearing(ring)
    wearing.link()
    wearing.run(200)
    assert sum(isinstance(step, Reject) for step in wearing.told) == 1
    assert len(wearing.records()) == 30
    again = Wearing(ring, wearing.dialogue.bookmarks)
    again.link()
    again.run(200)
    assert not any(isinstance(step, Reject | Trouble) for step in again.told)
    ring.record(NIGHT, values_of(20))  # it was still being written
    again.run(70)
    assert not again.records(), "its name has not changed, it is opened on the next link"
    again.cut()
    again.link()
    again.run(20)
    assert len(again.records()) == 20


def test_a_silent_ring_is_asked_again() -> None:
    ring = RingFiles(MORNING)
    ring.record(NIGHT, values_of(300))
    wearing = Wearing(ring)
    wearing.link()
    wearing.run(1, most_writes=5)
    ring.silent = 2
    wearing.run(40)
    assert len(wearing.records()) == 300
    assert not any(isinstance(step, Trouble) for step in wearing.told)


def test_a_ring_that_stays_silent_is_told_and_its_live_values_go_on() -> None:
    ring = RingFiles(MORNING)
    ring.record(NIGHT, values_of(300))
    wearing = Wearing(ring)
    wearing.link()
    wearing.run(1, most_writes=5)
    ring.silent = 4
    wearing.run(40)
    assert any(isinstance(step, Trouble) for step in wearing.told)
    wearing.run(90)
    assert len(wearing.records()) == 300, "a minute later it is read on"


@pytest.mark.parametrize("numbers", [True, False])
@pytest.mark.parametrize("before", range(3, 9))
@pytest.mark.parametrize("late", [1, 2])
def test_an_answer_that_comes_twice_is_taken_once(before: int, late: int, *, numbers: bool) -> None:
    """A slow ring: a request is made again, then both answers come, whichever request it was."""
    ring = RingFiles(MORNING, numbers=numbers)
    values = values_of(700)
    ring.record(NIGHT, values)
    wearing = Wearing(ring)
    wearing.link()
    wearing.run(1, most_writes=before)
    wearing.late = late
    wearing.run(200)
    assert wearing.records() == texts(values)
    assert not any(isinstance(step, Reject) for step in wearing.told)
    assert wearing.dialogue.bookmarks[""].known == ("20261120221500",)


def test_a_ring_that_does_not_number_its_answers_is_read() -> None:
    ring = RingFiles(MORNING, numbers=False)
    values = values_of(700)
    ring.record(NIGHT, values)
    wearing = Wearing(ring)
    wearing.link()
    wearing.run(30)
    assert wearing.records() == texts(values)
    assert not any(isinstance(step, Trouble) for step in wearing.told)


def test_a_file_that_was_mixed_up_on_its_way_is_read_again() -> None:
    ring = RingFiles(MORNING)
    values = values_of(300)
    ring.record(NIGHT, values)
    whole = ring.files["20261120221500"]
    ring.files["20261120221500"] = whole[:552] + whole[:512] + whole[1064:-5]  # a block twice
    wearing = Wearing(ring)
    wearing.link()
    while CLOSE not in ring.requests:
        wearing.run(0, most_writes=1)
    ring.files["20261120221500"] = whole
    wearing.run(30)
    assert wearing.records() == texts(values)
    assert not any(isinstance(step, Reject) for step in wearing.told)


@pytest.mark.parametrize("code", [None, 0x05])
def test_a_refused_write_is_told(code: int | None) -> None:
    wearing = Wearing(RingFiles(MORNING))
    wearing.link()
    (trouble,) = wearing.dialogue.refused(frames.WRITE, code, 0)
    assert isinstance(trouble, Trouble)


@pytest.mark.parametrize("options", [{"files": 1}, {"file": True}])
def test_options_are_checked(options: dict[str, str | int | float | bool]) -> None:
    with pytest.raises(ConfigError, match="options"):
        viatom_o2.dialogue(options, {})


def test_coverage_keeps_whole_minutes() -> None:
    coverage = Coverage(["100-200", "x", "5", "-7"])
    for second in range(1000, 1185, 2):
        coverage.measured(second)
    assert coverage.kept() == ("100-200", "1000-1120")
    assert all(coverage.holds(second) for second in (100, 200, 1000, 1184))
    assert not any(coverage.holds(second) for second in (99, 201, 999, 1185))
    coverage.measured(1400)
    assert coverage.kept() == ("100-200", "1000-1184")
    assert not coverage.holds(1300)
    assert Bookmark(known=coverage.kept()) == Bookmark(known=("100-200", "1000-1184"))
