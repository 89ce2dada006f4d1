"""The judge of streams sees what it is there for: it must be able to say no."""

import pytest

from wardlight_lab.chaos.bedside import PAIRS, BedSpec
from wardlight_lab.chaos.streams import Gap, Packet, Stored, StreamVerdict, judge_stream
from wardlight_lab.serialport import Format

SPEC = BedSpec("bed-1", "profile", Format.DF2, 91)
STEP_MS = 333


def packets(count: int, *, unheard: range = range(0)) -> list[Packet]:
    return [Packet(n, n * STEP_MS, n * STEP_MS, n not in unheard) for n in range(count)]


def sample(number: int, *, late_ms: int = 20) -> Stored:
    """The sample of a packet, dated when its second is whole, and 10 ms behind the one before."""
    spo2, pulse = SPEC.values(number)
    end = number // 3 * 3 + 2
    return Stored(end * STEP_MS + late_ms + 10 * (number % 3), spo2, pulse, 1000)


def samples(*ranges: range) -> list[Stored]:
    """One sample for each packet."""
    return [sample(number) for each in ranges for number in each]


KILLED = range(60, 66)
WHOLE = samples(range(60), range(66, 120))
GAP = Gap("restart", sample(57).time_ms, sample(66).time_ms)
KILL_MS = 61 * STEP_MS


def judged(
    stored: list[Stored], gaps: list[Gap], kills: tuple[float, ...] = (KILL_MS,)
) -> StreamVerdict:
    return judge_stream(SPEC, packets(120, unheard=KILLED), stored, gaps, kills)


def test_a_gap_that_names_the_loss_and_the_kill_is_good() -> None:
    verdict = judged(WHOLE, [GAP])
    assert verdict.is_good, verdict
    assert (verdict.unexplained, verdict.kills, verdict.gaps) == (0, 1, {"restart": 1})
    assert verdict.in_named_gaps == 6
    assert verdict.stored == 120 - 6 - 6  # the first six packets are not judged


def test_a_kill_without_a_gap_is_bad_even_where_nothing_was_lost() -> None:
    verdict = judge_stream(SPEC, packets(120), samples(range(120)), [], (KILL_MS,))
    assert (verdict.unexplained, verdict.kills_without_gap) == (0, 1)
    assert not verdict.is_good


def test_a_gap_of_another_cause_names_the_loss_but_not_the_kill() -> None:
    verdict = judged(WHOLE, [Gap("link-lost", GAP.from_ms, GAP.to_ms)])
    assert (verdict.unexplained, verdict.kills_without_gap) == (0, 1)


def test_a_gap_that_is_too_short_leaves_packets_unexplained() -> None:
    stored = samples(range(60), range(84, 120))
    verdict = judged(stored, [GAP])
    assert verdict.unexplained >= 9
    assert not verdict.is_good
    assert "unexplained" in verdict.first_wrong[0]


@pytest.mark.parametrize("lost", [range(90, 93), range(91, 92), range(92, 93), range(90, 91)])
def test_one_lost_second_and_one_lost_packet_are_seen(lost: range) -> None:
    stored = [each for each in WHOLE if each not in samples(lost)]
    assert len(stored) == len(WHOLE) - len(lost)
    verdict = judged(stored, [GAP])
    assert verdict.unexplained == len(lost)
    assert not verdict.is_good


def test_one_doubled_second_is_seen() -> None:
    again = [Stored(each.time_ms + 30, *each[1:]) for each in samples(range(90, 93))]
    verdict = judged([*WHOLE, *again], [GAP])
    assert verdict.double == 3
    assert not verdict.is_good


def test_a_median_of_two_seconds_is_told_by_no_packet() -> None:
    mixed = Stored(sample(92).time_ms + 10, SPEC.values(90)[0], SPEC.values(109)[1], 1000)
    assert judged([*WHOLE, mixed], [GAP]).double == 1


def test_samples_out_of_their_order_are_seen() -> None:
    first, second = sample(90), sample(91)
    swapped = [Stored(second.time_ms, *first[1:]), Stored(first.time_ms, *second[1:])]
    others = [each for each in WHOLE if each not in (first, second)]
    verdict = judged([*others, *swapped], [GAP])
    assert (verdict.unexplained, verdict.double, verdict.mistimed) == (0, 0, 1)
    assert not verdict.is_good


def test_a_gap_over_stored_samples_is_bad() -> None:
    verdict = judged(WHOLE, [Gap("restart", sample(38).time_ms, GAP.to_ms)])
    assert verdict.covered >= 1
    assert not verdict.is_good
    verdict = judged(WHOLE, [GAP, Gap("link-lost", sample(80).time_ms, sample(92).time_ms)])
    assert verdict.covered >= 1
    assert not verdict.is_good


def test_a_gap_of_a_kill_may_begin_one_block_early_but_not_each() -> None:
    early = Gap("restart", sample(47).time_ms, GAP.to_ms)
    verdict = judged(WHOLE, [early])
    assert (verdict.covered, verdict.early) == (0, 1)
    assert verdict.is_good
    verdict = judged(WHOLE, [early, Gap("restart", sample(95).time_ms, sample(107).time_ms)])
    assert (verdict.covered, verdict.early) == (0, 2)
    assert not verdict.is_good


def test_one_sample_of_tolerance() -> None:
    assert judged(WHOLE, [Gap("restart", sample(56).time_ms, GAP.to_ms)]).covered == 0


def test_the_same_loss_named_twice_is_bad() -> None:
    verdict = judged(WHOLE, [GAP, GAP])
    assert verdict.overlapping == 1
    assert not verdict.is_good


def test_a_sample_stored_twice_is_bad() -> None:
    again = Stored(WHOLE[4].time_ms + 7, WHOLE[4].spo2, WHOLE[4].pulse, 1000)
    assert judged([*WHOLE, again], [GAP]).double == 1


def test_a_sample_that_nobody_sent_is_bad() -> None:
    assert judged([*WHOLE, Stored(20_000.0, 55, 55, 1000)], [GAP]).double == 1


def test_a_sample_outside_its_error_bound_is_bad() -> None:
    stored = [*WHOLE[:-1], sample(119, late_ms=1200)]
    verdict = judged(stored, [GAP])
    assert verdict.mistimed == 1
    assert not verdict.is_good


def test_values_that_come_again_are_told_apart_by_time() -> None:
    count = 2 * PAIRS + 30
    verdict = judge_stream(SPEC, packets(count), samples(range(count)), [], ())
    assert verdict.is_good, verdict


def test_nothing_stored_is_bad() -> None:
    assert not judge_stream(SPEC, packets(5), [], [], ()).is_good


def test_verdicts_add_up() -> None:
    sum_of = StreamVerdict()
    sum_of.add(judged(WHOLE, [GAP]))
    sum_of.add(judged(WHOLE, []))
    assert sum_of.gaps == {"restart": 1}
    assert (sum_of.kills, sum_of.kills_without_gap) == (2, 1)
    assert not sum_of.is_good
