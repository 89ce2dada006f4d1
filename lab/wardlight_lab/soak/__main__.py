"""The soak as a command: `python -m wardlight_lab.soak --hours 24`.

Out     one line of JSON on standard output: the outcome, and what is wrong with it
Exit    0 nothing is wrong; 1 something is; 2 wrong usage
"""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from wardlight_lab.soak.run import soak
from wardlight_lab.soak.verdict import growth_kb, judge


def main() -> int:
    """Run it."""
    options = _parser().parse_args()
    begun_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="wardlight-soak-") as folder:
        outcome = asyncio.run(soak(options.hours, options.data_dir or Path(folder)))
    wrong = judge(outcome)
    shown = {
        "wrong": wrong,
        "growth_kb": growth_kb(outcome.held),
        "took_s": round(time.monotonic() - begun_s, 1),
        "cpu_s": round(time.process_time(), 1),
        **msgspec.to_builtins(outcome),
    }
    sys.stdout.write(msgspec.json.encode(shown).decode() + "\n")
    return 1 if wrong else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m wardlight_lab.soak", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--hours", type=float, default=24.0, help="of the ward's time")
    parser.add_argument("--data-dir", type=Path, help="keep the outbox here")
    return parser


if __name__ == "__main__":
    sys.exit(main())
