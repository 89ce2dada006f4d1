"""``python -m wardlight_lab.wan``: images beside vital signs on a narrow link that is cut.

Exit codes  0 every promise held; 1 one did not; 2 wrong usage
"""

import argparse
import asyncio
import dataclasses
import json
import shutil
import sys
import tempfile
from pathlib import Path

from wardlight_lab.wan.run import VITALS_LIMIT_S, Outcome, Plan, campaign


def main() -> int:
    """Run one plan and print what came of it."""
    options = _parser().parse_args()
    plan = Plan(
        images=tuple(options.image or Plan().images),
        bits_a_second=options.kbit * 1000.0,
        delay_s=options.delay_ms / 1000.0,
        cut_every_s=options.cut_every,
        cuts_at_most=options.cuts,
        rate=options.rate,
        alone_s=options.alone,
        way="https" if options.https else "mqtt",
    )
    folder = options.data_dir or Path(tempfile.mkdtemp(prefix="wardlight-wan-"))
    outcome = asyncio.run(campaign(folder, plan))
    if options.json:
        verdict = {"good": outcome.is_good, "right": outcome.is_right}
        fields = {**dataclasses.asdict(outcome), **verdict}
        sys.stdout.write(json.dumps(fields) + "\n")
    else:
        sys.stdout.write(_text(outcome))
    if options.data_dir is None and outcome.is_good:
        shutil.rmtree(folder, ignore_errors=True)
    return 0 if outcome.is_good else 1


def _parser() -> argparse.ArgumentParser:
    plan = Plan()
    parser = argparse.ArgumentParser(prog="python -m wardlight_lab.wan", description=__doc__)
    parser.add_argument("--image", type=int, action="append", metavar="BYTES", help="one image")
    parser.add_argument("--kbit", type=float, default=plan.bits_a_second / 1000, help="of the line")
    parser.add_argument("--delay-ms", type=float, default=plan.delay_s * 1000, help="one way")
    parser.add_argument("--cut-every", type=float, default=plan.cut_every_s, metavar="S")
    parser.add_argument("--cuts", type=int, default=plan.cuts_at_most, help="at most")
    parser.add_argument("--rate", type=float, default=plan.rate, help="vital signs a second")
    parser.add_argument("--alone", type=float, default=plan.alone_s, metavar="S")
    parser.add_argument("--https", action="store_true", help="images over HTTPS, not the broker")
    parser.add_argument("--data-dir", type=Path, help="keep everything here")
    parser.add_argument("--json", action="store_true")
    return parser


def _text(outcome: Outcome) -> str:
    plan = outcome.plan
    lines = [
        f"{sum(plan.images)} bytes of images over {plan.bits_a_second / 1000:g} kbit/s, by "
        f"{plan.way}, {plan.delay_s * 1000:g} ms each way, cut every {plan.cut_every_s:g} s",
        f"took         {outcome.seconds} s, {outcome.cuts} cuts, "
        f"{outcome.line_share:.0%} of the line used",
        f"vital signs  alone p50 {outcome.alone_p50_s} s, p95 {outcome.alone_p95_s} s; beside "
        f"images p50 {outcome.beside_p50_s} s, p95 {outcome.beside_p95_s} s, longest "
        f"{outcome.beside_max_s} s, of {outcome.records} (p95 below {VITALS_LIMIT_S:g} s)",
        f"sent again   {outcome.again:.2%} of the octets (at most {outcome.again_limit:.2%})",
        f"known study  {outcome.known_octets} octets",
        f"stored       {outcome.stored_right} of {len(plan.images)} right, "
        f"{outcome.entries} on the index",
        "GOOD" if outcome.is_good else "BAD",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
