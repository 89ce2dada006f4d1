"""Whatever a cuff sends, and however its links end: nothing is written to it, nothing is twice."""

from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from support.omron import FRESH, Talk
from wardlight_edge.devices import (
    ClockShown,
    Dialogue,
    Done,
    Fetched,
    Reject,
    Steps,
    Trouble,
    Write,
)
from wardlight_edge.devices import omron_memory as omron
from wardlight_edge.devices._dialogue import Step
from wardlight_edge.devices._omron_frames import BEGUN, FROM_CUFF, GIVEN, TO_CUFF, UNLOCK
from wardlight_lab.devices.omron_memory import HEM_7322T, CuffMemory

START = datetime(2026, 11, 1, 8, 30, 15)  # noqa: DTZ001 - a cuff's wall clock
READ_ONLY = {b"\x00\x00", b"\x01\x00", b"\x0f\x00"}
LENGTHS = {0: 17, 1: 17, 2: 17}
MOST_STEPS = 16


def _frame(kind: int, address: int, data: bytes) -> bytes:
    head = bytes([len(data) + 8]) + kind.to_bytes(2, "big") + address.to_bytes(2, "big")
    body = head + bytes([len(data)]) + data + b"\0"
    checksum = 0
    for octet in body:
        checksum ^= octet
    return body + bytes([checksum])


FRAMES = st.builds(
    _frame,
    st.sampled_from([BEGUN, GIVEN, 0x8F00, 0x81C0]),
    st.sampled_from([0, 0x0260, 0x0274, 0x02AC, 0x02E4, 0x0824]),
    st.binary(max_size=56),
)
PIECES = st.one_of(
    st.tuples(st.just(UNLOCK), st.sampled_from([b"\x82\0", b"\x80\0", b"\x81\0", b"\x81\x01"])),
    st.tuples(st.sampled_from([UNLOCK, *FROM_CUFF]), st.binary(max_size=20)),
    st.tuples(st.just(FROM_CUFF[0]), FRAMES.map(lambda frame: frame[:16])),
)


@given(st.data())
def test_no_cuff_can_stop_it_or_be_changed_by_it(data: st.DataObject) -> None:
    dialogue = omron.dialogue({"model": "HEM-7322T"}, FRESH)
    now_ms = 0
    for _ in range(data.draw(st.integers(0, 40))):
        now_ms += data.draw(st.sampled_from([0, 10, 2500]))
        match data.draw(st.sampled_from(["begin", "piece", "piece", "piece", "frame", "other"])):
            case "begin":
                dialogue.link_lost()
                steps = dialogue.begin(now_ms)
            case "piece":
                steps = dialogue.value(*data.draw(PIECES), now_ms)
            case "frame":
                frame = data.draw(FRAMES)
                steps = ()
                for place, channel in enumerate(FROM_CUFF):
                    piece = frame[16 * place : 16 * place + 16]
                    steps += dialogue.value(channel, piece, now_ms) if piece else ()
            case _:
                steps = _other(data, dialogue, now_ms)
        assert len(steps) <= MOST_STEPS
        for step in steps:
            _check(step)


def _other(data: st.DataObject, dialogue: Dialogue, now_ms: int) -> Steps:
    match data.draw(st.sampled_from(["refused", "tick", "committed"])):
        case "refused":
            code = data.draw(st.sampled_from([None, 0x05, 0x0E, 0x80]))
            return dialogue.refused(TO_CUFF, code, now_ms)
        case "tick":
            return dialogue.tick(now_ms)
        case _:
            return dialogue.committed()


def _check(step: Step) -> None:
    assert isinstance(step, Write | Fetched | ClockShown | Reject | Trouble | Done)
    if isinstance(step, Fetched):
        assert step.readings
    if isinstance(step, Write) and step.channel == UNLOCK:
        assert len(step.octets) == LENGTHS[step.octets[0]]
    elif isinstance(step, Write):
        assert step.channel == TO_CUFF
        assert step.octets[1:3] in READ_ONLY, "no frame writes to the memory"


@settings(max_examples=40, deadline=None)
@given(
    records=st.tuples(st.integers(0, 110), st.integers(0, 30)),
    cuts=st.lists(st.integers(0, 60), max_size=6),
    silent=st.integers(0, 3),
    between=st.booleans(),
)
def test_every_record_comes_once_however_links_end(
    records: tuple[int, int], cuts: list[int], silent: int, *, between: bool
) -> None:
    cuff = CuffMemory(HEM_7322T, is_pairing=True, silent=silent)
    dialogue = omron.dialogue({"model": "HEM-7322T"}, FRESH)
    talk = Talk(dialogue, cuff)
    stored = [_store(cuff, user, place) for user in (0, 1) for place in range(records[user])]
    came: list[bytes] = []
    for number, cut in enumerate(cuts):
        talk.link(cut)
        came += [each.name for each in talk.records()]
        if between:
            stored.append(_store(cuff, 1, 200 + number))
    talk.link()
    came += [each.name for each in talk.records()]
    assert len(came) == len(set(came))
    assert set(stored) & _in_memory(cuff) <= set(came) <= set(stored)
    assert talk.link() == [Done(0)]
    assert not cuff.written


def _store(cuff: CuffMemory, user: int, place: int) -> bytes:
    at = START + timedelta(minutes=place)
    return bytes([user]) + cuff.store(user, 100 + place % 90, 70, 60, at)


def _in_memory(cuff: CuffMemory) -> set[bytes]:
    """Every slot, as the dialogue names records."""
    found = set()
    for user, start in enumerate(HEM_7322T.users):
        for slot in range(HEM_7322T.slots):
            at = start + slot * HEM_7322T.record
            found.add(bytes([user]) + cuff.octets(at, HEM_7322T.record))
    return found
