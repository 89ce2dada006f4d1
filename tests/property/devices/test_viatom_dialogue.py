"""Whatever a ring sends, and however its links end: nothing is set or deleted, nothing is twice."""

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from support.ring import NIGHT, REPLY, Wearing, dialogue_of, values_of
from wardlight_edge.devices import (
    ClockShown,
    Done,
    Fetched,
    Passed,
    Reject,
    Steps,
    Trouble,
    Write,
)
from wardlight_edge.devices._dialogue import Step
from wardlight_edge.devices._viatom_files import EVENTS_A_COMMIT
from wardlight_edge.devices._viatom_frames import WRITE, info_of
from wardlight_edge.devices._viatom_record import records_of
from wardlight_lab.devices.ring_files import RingFiles, file_of, reply
from wardlight_shared.errors import DecodeError

MORNING = NIGHT + timedelta(hours=9)
READ_ONLY = {0x03, 0x04, 0x05, 0x14, 0x17}
STEPS = Write | Fetched | Passed | ClockShown | Reject | Trouble | Done
FILE = file_of(NIGHT, values_of(40))
INFO = b'{"CurTIME":"2026-11-21,07:15:00","FileList":"20261120221500,x"}'
DATA = st.one_of(
    st.just(b""),
    st.just(INFO),
    st.just(len(FILE).to_bytes(4, "little")),
    st.just(FILE),
    st.integers(0, 2**32 - 1).map(lambda size: size.to_bytes(4, "little")),
    st.binary(min_size=13, max_size=13),
    st.binary(max_size=30),
)
REPLIES = st.builds(reply, st.sampled_from([0, 0, 0, 9]), st.integers(0, 3), DATA)


@given(st.data())
def test_no_ring_can_stop_it_or_be_changed_by_it(data: st.DataObject) -> None:
    dialogue = dialogue_of({})
    now_ms = 0
    for _ in range(data.draw(st.integers(0, 40))):
        now_ms += data.draw(st.sampled_from([0, 10, 2500, 61_000]))
        steps: Steps = ()
        match data.draw(st.sampled_from(["begin", "reply", "reply", "reply", "bytes", "other"])):
            case "begin":
                dialogue.link_lost()
                steps = dialogue.begin(now_ms)
            case "reply":
                steps = dialogue.value(REPLY, data.draw(REPLIES), now_ms)
            case "bytes":
                steps = dialogue.value(REPLY, data.draw(st.binary(max_size=24)), now_ms)
            case _ if data.draw(st.booleans()):
                steps = dialogue.tick(now_ms)
            case _ if data.draw(st.booleans()):
                steps = dialogue.committed()
            case _:
                steps = dialogue.refused(WRITE, data.draw(st.sampled_from([None, 0x05])), now_ms)
        assert len(steps) <= EVENTS_A_COMMIT
        _check(steps)


def _check(steps: Steps) -> None:
    requests = b"".join(step.octets for step in steps if isinstance(step, Write))
    assert not requests or (requests[0] == 0xAA and requests[1] in READ_ONLY)
    for step in steps:
        assert isinstance(step, STEPS)
        _check_one(step)


def _check_one(step: Step) -> None:
    if isinstance(step, Write):
        assert step.channel == WRITE
        assert 0 < len(step.octets) <= 20
    if isinstance(step, Fetched):
        assert len(step.readings) == 2


@settings(max_examples=40, deadline=None)
@given(
    counts=st.lists(st.integers(1, 400), min_size=1, max_size=3),
    cuts=st.lists(st.integers(0, 14), max_size=5),
    block=st.sampled_from([20, 100, 512]),
    silent=st.integers(0, 2),
    is_restarted=st.booleans(),
)
def test_every_record_comes_once_however_links_end(
    counts: list[int], cuts: list[int], block: int, silent: int, *, is_restarted: bool
) -> None:
    ring = RingFiles(MORNING, block=block, silent=silent)
    stored = []
    for number, count in enumerate(counts):
        begun = NIGHT + timedelta(hours=number)
        values = values_of(count, 31 * number)
        ring.record(begun, values)
        stored += [(str(spo2), str(pulse)) for spo2, pulse in values]
    wearing = Wearing(ring)
    for cut in cuts:
        wearing.link()
        wearing.run(60, most_writes=cut)
        wearing.cut()
    wearing.link()
    wearing.run(400)
    assert wearing.records() == stored
    if is_restarted:
        again = Wearing(ring, wearing.dialogue.bookmarks)
        again.link()
        again.run(100)
        assert not again.records()
    assert set(ring.requests) <= READ_ONLY


@given(st.binary(max_size=300))
def test_any_bytes_are_info_and_files_or_an_error(value: bytes) -> None:
    for decode in (info_of, records_of):
        try:
            decode(value)
        except DecodeError as error:
            assert len(str(error)) < 200
