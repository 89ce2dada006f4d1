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

from wardlight_lab.chaos.faults import schedule, strike
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
    outcome = asyncio.run(campaign(folder, rounds=rounds, seed=seed, rate=rate, quiet=as_json))
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


async def campaign(
    folder: Path, *, rounds: int, seed: int, rate: float, quiet: bool = True
) -> Outcome:
    """One campaign in ``folder``."""
    started = time.monotonic()
    strikes: collections.Counter[str] = collections.Counter()
    async with World(folder, rate) as world:
        for number, fault in enumerate(schedule(rounds, seed), 1):
            if not quiet:
                what = "cut" if fault.is_cut else "kill -9"
                sys.stdout.write(f"{number}/{rounds}: {what} {fault.target}\n")
                sys.stdout.flush()
            await strike(world, fault)
            strikes[fault.target] += 1
        verdict = await world.verdict()
    return Outcome(rounds, seed, round(time.monotonic() - started, 1), dict(strikes), verdict)


def _text(outcome: Outcome) -> str:
    verdict = outcome.verdict
    strikes = ", ".join(f"{count} x {name}" for name, count in sorted(outcome.strikes.items()))
    lines = [
        f"{outcome.rounds} faults, seed {outcome.seed}, {outcome.seconds} s: {strikes}",
        f"accepted {verdict.accepted}, stored {verdict.stored}",
        f"lost {verdict.lost}, double {verdict.double}, missing records {verdict.missing_records}, "
        f"rejected {verdict.rejected}, accepted in the moment of a kill {verdict.unknown}",
        "GOOD" if verdict.is_good else f"BAD: first lost {verdict.first_lost}",
    ]
    return "\n".join(lines) + "\n"
