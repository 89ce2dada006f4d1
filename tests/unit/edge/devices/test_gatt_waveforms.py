"""Waveforms over GATT: the samples of a value, and whole seconds out of notifications."""

from itertools import pairwise
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.vectors import Case, cases, expected, octets, seen
from wardlight_edge import devices
from wardlight_edge.devices import Samples, _viatom_frames, berry_bci, polar_ecg, viatom_o2
from wardlight_edge.devices._seconds import Seconds, first_of
from wardlight_edge.streams.waveforms import WaveformFolder
from wardlight_shared.errors import DecodeError

ECG = "FB005C82-02E7-F387-1CAD-8ACD2D8DF0C8"
BCI = "49535343-1E4D-4BD9-BA61-23C647249616"
O2 = "0734594A-A8E7-4B1A-A6B1-CD5243059A57"
FRAME = bytes.fromhex("86 32 45 48 62")

WAVES = [
    pytest.param(name, case, id=f"{name}: {case['name']}")
    for name in ("polar_ecg", "berry_bci", "generic_health_sensor")
    for case in cases(name)
    if "samples" in case
]


def _shown(samples: Samples) -> dict[str, Any]:
    values = memoryview(samples.samples).cast("h").tolist()
    shown = msgspec.structs.asdict(samples)
    kept = ("metric", "unit", "rate_mhz", "first", "origin", *(["scale"] if samples.scale else []))
    return {key: shown[key] for key in kept} | {"values": values}


@pytest.mark.parametrize(("name", "case"), WAVES)
def test_samples_of_a_vector(name: str, case: Case) -> None:
    decoder = cast(devices.WaveformDecoder, devices.load_gatt(name))
    frame = decoder.decode_frame(case["characteristic"], octets(case))
    assert [_shown(each) for each in frame.samples] == case["samples"]
    besides = [seen(each) for readings in (*frame.before, *frame.after) for each in readings]
    assert besides == [expected(each) for each in case.get("after", ())]


def test_a_value_without_a_waveform() -> None:
    frame = polar_ecg.decode_frame("0x2A37", b"\x00\x48")
    assert (len(frame.readings), frame.samples) == (1, ())


def test_commands() -> None:
    # The handbook of each: Polar's SDK example, the request that every driver of the ring sends.
    assert polar_ecg.start_ecg().hex() == "02000001820001010e00"
    assert _viatom_frames.ask_live().hex() == "aa17e8000000001b"


def _pmd(microvolts: list[int], end_ns: int) -> bytes:
    samples = b"".join(each.to_bytes(3, "little", signed=True) for each in microvolts)
    return b"\x00" + end_ns.to_bytes(8, "little") + b"\x00" + samples


def _ecg(sizes: list[int], lost: int | None = None) -> tuple[list[Samples], list[int]]:
    """The samples that come out, and all that went in; sample n is n microvolt."""
    assembler, count = polar_ecg.assembler(), 0
    out: list[Samples] = []
    sent: list[int] = []
    for place, size in enumerate(sizes):
        microvolts = list(range(count, count + size))
        count += size
        if place == lost:
            continue
        sent += microvolts
        whole = assembler.take(ECG, _pmd(microvolts, count * 1_000_000_000 // 130))
        if whole is not None:
            out += polar_ecg.decode_frame(ECG, whole).samples
    return out, sent


def _values(samples: list[Samples]) -> list[int]:
    return [s.origin + v for s in samples for v in memoryview(s.samples).cast("h")]


@given(sizes=st.lists(st.integers(1, 170), min_size=1, max_size=30))
def test_seconds_of_ecg_hold_every_sample_in_order(sizes: list[int]) -> None:
    out, sent = _ecg(sizes)
    assert _values(out) == sent[: len(sent) - len(sent) % 130]
    assert all(each.first == 0 for each in out)


def test_a_lost_frame_is_a_break_of_the_block() -> None:
    out, _ = _ecg([73] * 12, lost=5)
    values, folder, blocks = _values(out), WaveformFolder(), []
    assert not set(values) & set(range(5 * 73, 6 * 73))
    for second, samples in enumerate(out):
        blocks += folder.add([samples], 10_000 + second * 1000, 0)
    blocks += folder.flush()
    assert len(blocks) == 2
    assert sum(after - before != 1 for before, after in pairwise(values)) == 1


@given(
    cuts=st.lists(st.integers(1, 40), min_size=1, max_size=60),
    noise=st.binary(max_size=4).map(lambda octets: bytes(octet & 0x7F for octet in octets)),
)
def test_bci_frames_are_found_wherever_they_are_cut(cuts: list[int], noise: bytes) -> None:
    stream, assembler, found = noise + FRAME * 320, berry_bci.assembler(), b""
    while stream:
        size = cuts[len(stream) % len(cuts)]
        found += assembler.take(BCI, stream[:size]) or b""
        stream = stream[size:]
    assert len(found) == 1500 - 5 * bool(noise)
    assert found == FRAME * (len(found) // 5)


def test_the_assemblers_pass_other_characteristics() -> None:
    for assembler in (polar_ecg.assembler(), berry_bci.assembler(), viatom_o2.assembler()):
        assert assembler.take("0x2A19", b"\x64") == b"\x64"


@given(cut=st.integers(1, 20))
def test_a_reply_in_two_notifications(cut: int) -> None:
    reply = octets(cases("viatom_o2")[0])
    assembler = viatom_o2.assembler()
    assert assembler.take(O2, reply[:cut]) is None
    assert assembler.take(O2, reply[cut:]) == reply
    assert len(viatom_o2.decode(O2, reply)) == 2


def test_what_is_no_reply_is_given_up_at_once() -> None:
    assembler = viatom_o2.assembler()
    with pytest.raises(DecodeError, match="no reply begins here"):
        assembler.take(O2, b"\x55\x00\xff\x00\x00\xff\xff")
    reply = octets(cases("viatom_o2")[0])
    assert assembler.take(O2, reply) == reply


@pytest.mark.parametrize(("count", "first"), [(0, 0), (1, 129), (129, 1), (130, 0), (259, 1)])
def test_samples_end_with_a_second(count: int, first: int) -> None:
    assert first_of(count, 130) == first


def test_a_break_costs_the_first_sample_of_its_second() -> None:
    seconds = Seconds(4, 1)
    assert seconds.add(b"abc") is None
    seconds.broken()
    assert seconds.add(b"defghi") == b"efg"
    assert seconds.add(b"jk") == b"hijk"


def test_a_file_larger_than_a_ring_holds_is_refused() -> None:
    with pytest.raises(DecodeError, match="at most 1048576"):
        viatom_o2.decode("vld-file", b"\x03\x00" + bytes(1 << 20))


def test_a_reply_to_another_request_gives_nothing() -> None:
    # o2r: opening a file answers with its size, u32; CRC by the table of o2pkt.py.
    head = bytes.fromhex("5500FF0000040000100000")
    assert viatom_o2.decode(O2, head + bytes([_viatom_frames.crc8(head)])) == ()
    begun = viatom_o2.assembler()
    assert begun.take(O2, head[:3]) is None
    assert begun.take(O2, head[3:] + bytes([_viatom_frames.crc8(head)])) is not None
