"""``wardlight chaos``: a world, a schedule of faults, a verdict."""

import asyncio
import collections
import dataclasses
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

from wardlight_lab.chaos.faults import schedule
from wardlight_lab.chaos.striking import Striker
from wardlight_lab.chaos.verdict import Verdict
from wardlight_lab.chaos.world import World


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """What happened and how it ended."""

    rounds: int
    seed: int
    seconds: float
    strikes: dict[str, int]
    verdict: Verdict


def run(*, rounds: int, seed: int, rate: float, data_dir: Path | None, as_json: bool) -> int:
    """Run a campaign and print its verdict; 0 when the claim held."""
    folder = data_dir or Path(tempfile.mkdtemp(prefix="wardlight-chaos-"))
    outcome = asyncio.run(campaign(folder, rounds=rounds, seed=seed, rate=rate))
    good = outcome.verdict.is_good
    if as_json:
        fields = {**dataclasses.asdict(outcome), "good": good}
        sys.stdout.write(json.dumps(fields) + "\n")
    else:
        sys.stdout.write(_text(outcome))
    if data_dir is None and good:
        shutil.rmtree(folder, ignore_errors=True)
    elif not good:
        sys.stderr.write(f"the world is kept in {folder}\n")
    return 0 if good else 1


async def campaign(folder: Path, *, rounds: int, seed: int, rate: float) -> Outcome:
    """One campaign in ``folder``; tells each fault on standard error."""
    started = time.monotonic()
    strikes: collections.Counter[str] = collections.Counter()
    async with World(folder, rate) as world:
        striker = Striker(world)
        for number, fault in enumerate(schedule(rounds, seed), 1):
            lasting = f" for {fault.duration_s:.1f} s" if fault.duration_s else ""
            _say(f"{number}/{rounds}: {fault.name}{lasting}")
            await striker.strike(fault)
            strikes[fault.name] += 1
        await striker.end()
        _say("waiting until everything is settled")
        verdict = await world.verdict()
    return Outcome(rounds, seed, round(time.monotonic() - started, 1), dict(strikes), verdict)


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def _text(outcome: Outcome) -> str:
    verdict, streams = outcome.verdict, outcome.verdict.streams
    strikes = ", ".join(f"{count} x {name}" for name, count in sorted(outcome.strikes.items()))
    gaps = ", ".join(f"{count} x {cause}" for cause, count in sorted(streams.gaps.items()))
    lines = [
        f"{outcome.rounds} faults, seed {outcome.seed}, {outcome.seconds} s: {strikes}",
        f"records   accepted {verdict.accepted}, stored {verdict.stored}, lost {verdict.lost}, "
        f"destroyed and named {verdict.destroyed} in {len(verdict.damages)} damaged outboxes, "
        f"double {verdict.double}, missing {verdict.missing_records}, rejected {verdict.rejected}, "
        f"quarantined {verdict.quarantined}, accepted in the moment of a kill {verdict.unknown}",
        f"streams   packets sent {streams.sent}, stored {streams.stored}, "
        f"in named gaps {streams.in_named_gaps}, unexplained {streams.unexplained}; "
        f"samples {streams.samples}, double {streams.double}, mistimed {streams.mistimed}",
        f"gaps      {gaps or 'none'}; over stored samples {streams.covered}, "
        f"one block early {streams.early}, "
        f"overlapping {streams.overlapping}; kills {streams.kills}, "
        f"without gap {streams.kills_without_gap}",
        f"events    acknowledged to their device {verdict.events.acknowledged}, "
        f"stored {verdict.events.stored}, in hand at a kill {verdict.events.in_hand}, "
        f"lost {verdict.events.lost}, "
        f"double {verdict.events.double}",
        f"images    accepted {verdict.images.accepted}, stored {verdict.images.stored}, "
        f"lost {verdict.images.lost}, double {verdict.images.double}, "
        f"of nobody {verdict.images.strange}, "
        f"accepted in the moment of a kill {verdict.images.unknown}; "
        f"committed {verdict.images.committed}, falsely {verdict.images.false_commitments}, "
        f"not reported {verdict.images.unreported}",
        f"steps     events accepted {verdict.steps.accepted}, stored {verdict.steps.stored}, "
        f"lost {verdict.steps.lost}, double {verdict.steps.double}, "
        f"out of order {verdict.steps.disordered}, of nobody {verdict.steps.strange}, "
        f"accepted in the moment of a kill {verdict.steps.unknown}",
        "GOOD"
        if verdict.is_good
        else f"BAD: {verdict.first_lost} {streams.first_wrong} {verdict.events.first_lost} "
        f"{verdict.images.first_lost} {verdict.steps.first_lost}",
    ]
    return "\n".join(lines) + "\n"
