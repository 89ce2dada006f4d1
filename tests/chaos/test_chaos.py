"""Nothing accepted is lost, nothing is stored twice, every gap is named: the campaign in short."""

import json
import random
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from wardlight_lab.chaos.damage import KINDS, damage
from wardlight_lab.chaos.faults import DECK, schedule
from wardlight_lab.chaos.image_verdict import ImageVerdict, Promise, Upload, judge_images
from wardlight_lab.chaos.ledger import Accepted
from wardlight_lab.chaos.radio import EventVerdict
from wardlight_lab.chaos.step_verdict import Event, StepVerdict, judge_steps
from wardlight_lab.chaos.streams import StreamVerdict
from wardlight_lab.chaos.verdict import Named, Verdict, judge

SEED = 60206
"""Every kill, a damaged outbox, a frozen collector, a stalled link; and short waits between."""
ROUNDS = 11


@pytest.mark.timeout(400)
def test_faults_of_every_kind_lose_and_double_nothing_and_every_gap_is_named(
    tmp_path: Path,
) -> None:
    command = [
        sys.executable, "-m", "wardlight_lab", "chaos", "--rounds", str(ROUNDS),
        "--seed", str(SEED), "--data-dir", str(tmp_path / "world"), "--json",
    ]  # fmt: skip
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.stdout, result.stderr
    outcome = json.loads(result.stdout)
    verdict, streams = outcome["verdict"], outcome["verdict"]["streams"]
    assert verdict["accepted"] > 500
    assert (verdict["lost"], verdict["double"], verdict["missing_records"]) == (0, 0, 0), outcome
    assert streams["samples"] > 10
    assert (streams["unexplained"], streams["kills_without_gap"]) == (0, 0), outcome
    images = verdict["images"]
    assert images["accepted"] > 3
    assert images["committed"] > 0
    wrong = images["lost"], images["double"], images["strange"], images["false_commitments"]
    assert wrong == (0, 0, 0, 0), outcome
    assert images["unreported"] == 0, outcome
    steps = verdict["steps"]
    assert steps["accepted"] > 3
    wrong = steps["lost"], steps["double"], steps["disordered"], steps["strange"]
    assert wrong == (0, 0, 0, 0), outcome
    assert (verdict["rejected"], verdict["quarantined"]) == (0, 0), outcome
    doubled = streams["double"], streams["covered"], streams["overlapping"]
    # Moments of samples and early gaps hang on how busy the machine is: the campaign judges them.
    assert doubled == (0, 0, 0), outcome
    assert f"{ROUNDS}/{ROUNDS}: " in result.stderr


def test_the_seed_of_the_short_form_kills_every_process() -> None:
    cards = [(fault.kind, fault.target) for fault in schedule(ROUNDS, SEED)]
    assert cards.count(("kill", "daemon")) >= 2
    assert {card for card in DECK if card[0] == "kill"} <= set(cards)
    assert {"freeze", "stall", "damage"} <= {kind for kind, _ in cards}


def test_schedule_follows_from_the_seed_and_plays_the_whole_deck() -> None:
    assert list(schedule(40, 3)) == list(schedule(40, 3))
    assert list(schedule(40, 3)) != list(schedule(40, 4))
    cards = [(fault.kind, fault.target) for fault in schedule(len(DECK), 5)]
    assert sorted(cards) == sorted(DECK)


ONE, TWO = Promise("1.2.1", b"1" * 32), Promise("1.2.2", b"2" * 32)


UPLOADS: Final = (
    Upload("gw-1", 7, 1, ONE.sha256, "stored"),
    Upload("gw-1", 7, 2, TWO.sha256, "stored"),
    Upload("gw-1", 7, 3, TWO.sha256, "known"),
)


def judged_images(
    *rows: tuple[str, bytes],
    objects: frozenset[bytes] = frozenset({ONE.sha256, TWO.sha256}),
    versions: int = 0,
    uploads: Sequence[Upload] = UPLOADS,
    committed: frozenset[str] = frozenset(),
) -> ImageVerdict:
    offered = frozenset({ONE.uid, TWO.uid})
    return judge_images(
        [ONE, TWO], offered, rows=rows, objects=objects, versions=versions,
        uploads=uploads, committed=committed, false_commitments=0,
    )  # fmt: skip


def test_judge_of_images_sees_what_is_lost_double_strange_and_falsely_committed() -> None:
    one, two = (ONE.uid, ONE.sha256), (TWO.uid, TWO.sha256)
    assert judged_images(one, two, committed=frozenset({ONE.uid})).is_good
    lost = judged_images(one, committed=frozenset({TWO.uid}))
    assert (lost.lost, lost.false_commitments, lost.first_lost) == (1, 1, (TWO.uid,))
    assert judged_images((ONE.uid, TWO.sha256), two).lost == 1
    assert judged_images(one, two, objects=frozenset({ONE.sha256})).lost == 1
    double = [
        judged_images(one, two, versions=1),
        judged_images(one, two, two),
        judged_images(one, two, uploads=(*UPLOADS, UPLOADS[2])),
        judged_images(one, two, uploads=(*UPLOADS, Upload("gw-1", 7, 4, ONE.sha256, "stored"))),
    ]
    assert [each.double for each in double] == [1, 1, 1, 1]
    strange = judged_images(one, two, ("1.2.3", ONE.sha256))
    assert strange.strange == 1
    assert not any(each.is_good for each in (lost, strange, *double))


def test_judge_of_steps_sees_what_is_lost_double_strange_and_out_of_order() -> None:
    one, two, other = Event("1", 1, "A"), Event("1", 2, "B"), Event("2", 1, "A")
    sent = [one, two, other]
    assert judge_steps(sent, [one, two], [one, two]) == StepVerdict(accepted=2, stored=2)
    assert judge_steps(sent, [one], [one, two]).unknown == 1
    bad = (
        judge_steps(sent, [one, two], [one]),
        judge_steps(sent, sent, [one, two, other, two]),
        judge_steps(sent, sent, [two, one, other]),
        judge_steps(sent, sent, [one, other, two]),
        judge_steps(sent, [one], [one, Event("1", 2, "A")]),
    )
    assert [(v.lost, v.double, v.disordered, v.strange) for v in bad] == [
        (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 1, 0), (0, 0, 0, 1),
    ]  # fmt: skip
    assert not any(each.is_good for each in bad)


CLEAN: Final = {"missing_records": 0, "rejected": 0, "quarantined": 0}
NONE: Final = Named({}, 0)


def judged(
    accepted: list[Accepted],
    stored: dict[int, int],
    *,
    named: Named = NONE,
    damages: Sequence[str] = (),
    streams: StreamVerdict | None = None,
    wrong: str | None = None,
) -> Verdict:
    numbers = {**CLEAN, **({} if wrong is None else {wrong: 1})}
    streams = streams or StreamVerdict(samples=1)
    return judge(
        accepted,
        stored,
        streams,
        EventVerdict(),
        ImageVerdict(),
        StepVerdict(),
        named=named,
        damages=damages,
        **numbers,
    )


def test_judge_sees_a_loss_a_double_and_a_late_ledger_line() -> None:
    accepted = [Accepted(1, 3, 9, (1, 2, 3)), Accepted(10, 2, 9, (4, 5))]
    verdict = judged(accepted, {1: 1, 3: 2, 10: 1, 11: 1, 99: 1})
    assert (verdict.accepted, verdict.lost, verdict.double, verdict.unknown) == (5, 1, 1, 1)
    assert verdict.first_lost == (2,)
    assert not verdict.is_good
    assert judged([Accepted(1, 2, 9, (1, 2))], {1: 1, 2: 1}).is_good


@pytest.mark.parametrize("wrong", sorted(CLEAN))
def test_judge_wants_every_record_accounted_for(wrong: str) -> None:
    assert not judged([Accepted(1, 2, 9, (1, 2))], {1: 1, 2: 1}, wrong=wrong).is_good


def test_judge_wants_the_streams_good_too() -> None:
    bad = StreamVerdict(samples=1, unexplained=1)
    assert not judged([Accepted(1, 1, 9, (1,))], {1: 1}, streams=bad).is_good


BLOCK = Accepted(1, 32, 9, (7, 8, 9))


def test_what_a_damaged_outbox_took_must_be_named_record_by_record() -> None:
    stored = dict.fromkeys([1, 2], 1)  # the block, seq 9, is lost
    named = judged([BLOCK], stored, named=Named({9: [(9, 9)]}, 0), damages=["pages"])
    assert (named.destroyed, named.lost) == (30, 0)
    assert named.is_good
    other = judged([BLOCK], stored, named=Named({9: [(7, 8)], 8: [(1, 99)]}, 0), damages=["pages"])
    assert (other.destroyed, other.lost) == (0, 30)
    assert not other.is_good


def test_nothing_may_be_destroyed_where_nothing_was_damaged() -> None:
    verdict = judged([BLOCK], dict.fromkeys([1, 2], 1), named=Named({9: [(9, 9)]}, 0))
    assert not verdict.is_good


def test_a_whole_outbox_may_be_named_without_numbers_but_only_once() -> None:
    accepted = [BLOCK, Accepted(100, 1, 10, (1,))]
    once = judged(accepted, {100: 1}, named=Named({}, 1), damages=["garbage"])
    assert (once.destroyed, once.lost) == (32, 0)
    assert judged(accepted, {}, named=Named({}, 1), damages=["garbage"]).lost == 1


@pytest.mark.parametrize("kind", KINDS)
def test_damage_leaves_a_file_that_is_damaged_and_a_log(tmp_path: Path, kind: str) -> None:
    outbox = tmp_path / "outbox.sqlite"
    with closing(sqlite3.connect(outbox)) as database:
        database.executescript("PRAGMA journal_mode = WAL; CREATE TABLE t (x)")
        database.executemany("INSERT INTO t VALUES (?)", [(b"x" * 900,)] * 400)
        database.commit()
    seed = next(seed for seed in range(99) if random.Random(seed).choice(KINDS) == kind)
    before = outbox.read_bytes()
    assert damage(outbox, random.Random(seed)) == kind
    assert outbox.read_bytes() != before
    assert outbox.with_name("outbox.sqlite-wal").read_bytes() == b""
    assert damage(outbox, random.Random(seed)) == kind
