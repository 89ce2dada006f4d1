"""Runs of waveform samples joined over frames."""

from struct import pack

from wardlight_edge.devices import Samples
from wardlight_edge.streams import Waveform, WaveformFolder

RATE = 75_000


def _run(count: int, first: int = 0, *, origin: int = 0, value: int = 1) -> Samples:
    octets = pack(f"<{count}h", *[value] * count)
    return Samples("pleth_waveform", "1", RATE, first, origin, octets)


def _count(waveform: Waveform) -> int:
    return len(waveform.run.samples) // 2


def test_whole_frames_make_blocks_of_five_seconds() -> None:
    folder = WaveformFolder()
    done = [
        block
        for second in range(1, 12)
        for block in folder.add([_run(75)], second * 1000, 90_000 + second * 1000)
    ]
    assert [_count(block) for block in done] == [375, 375]
    assert [block.mono_ms for block in done] == [0, 5000]
    assert [block.wall_ms for block in done] == [90_000, 95_000]
    (rest,) = folder.flush()
    assert (_count(rest), rest.mono_ms, rest.run.first) == (75, 10_000, 0)
    assert folder.flush() == []


def test_a_damaged_packet_breaks_the_run_where_it_was() -> None:
    """Samples 25 to 49 of the second are missing."""
    folder = WaveformFolder()
    assert folder.add([_run(75)], 1000, 1000) == []
    (whole,) = folder.add([_run(25), _run(25, first=50)], 2000, 2000)
    assert (_count(whole), whole.mono_ms) == (100, 0)
    (rest,) = folder.flush()
    assert (_count(rest), rest.mono_ms) == (25, 1667)


def test_a_frame_without_its_end_ends_the_run() -> None:
    folder = WaveformFolder()
    (cut,) = folder.add([_run(50)], 1000, 1000)
    assert _count(cut) == 50
    assert folder.add([_run(75)], 2000, 2000) == []


def test_a_frame_that_never_came_ends_the_run() -> None:
    folder = WaveformFolder()
    folder.add([_run(75)], 1000, 1000)
    (before,) = folder.add([_run(75)], 3000, 3000)
    assert (_count(before), before.mono_ms) == (75, 0)


def test_another_form_begins_another_run() -> None:
    folder = WaveformFolder()
    folder.add([_run(75)], 1000, 1000)
    (before,) = folder.add([_run(75, origin=32_768)], 2000, 2000)
    assert before.run.origin == 0


def test_a_frame_of_several_seconds_begins_that_long_before() -> None:
    folder = WaveformFolder()
    assert folder.add([_run(200, first=25)], 3000, 3000) == []
    (block,) = folder.add([_run(225)], 6000, 6000)
    assert (block.mono_ms, _count(block)) == (333, 425)
    assert folder.flush() == []
