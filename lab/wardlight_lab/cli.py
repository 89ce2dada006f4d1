"""``wardlight``: show it (demo), prove it (chaos), measure it (bench).

Exit codes  0 done and good; 1 a proof or a start failed; 2 wrong usage
"""

import argparse
import asyncio
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from wardlight_shared import __version__
from wardlight_shared.errors import WardlightError


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    options = _parser().parse_args(arguments)
    _log_warnings()
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except WardlightError as error:
        sys.stderr.write(f"wardlight: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130


def _log_warnings() -> None:
    """In the product's text form: Python's own would leave out which process, which cause."""
    from wardlight_cloud import logs
    from wardlight_cloud.config import LogSettings

    logs.configure(LogSettings(level="warning"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="wardlight",
        description="Wardlight's demo, proofs and benchmarks. Not a medical device.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(metavar="{demo,chaos,bench}", required=True)
    _add_demo(commands.add_parser("demo", help="run everything with emulated devices"))
    _add_chaos(commands.add_parser("chaos", help="kill and cut at random, then compare"))
    _add_bench(commands.add_parser("bench", help="measure against baselines of the same run"))
    return parser


def _add_demo(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "PostgreSQL, broker, collector, API with dashboard and one gateway with emulated devices "
        "of five invented patients, all on 127.0.0.1 and in one data folder. Ctrl-C stops it; a "
        "second start goes on with the data."
    )
    parser.add_argument("--data-dir", type=Path, default=Path("wardlight-demo"), metavar="D")
    parser.add_argument("--ready-file", type=Path, metavar="F", help="JSON while all is up")
    parser.add_argument("--for", dest="for_s", type=float, metavar="S", help="stop after S seconds")
    parser.add_argument("--http-port", type=int, metavar="P", help="0 = any; default 8080 if free")
    parser.add_argument(
        "--glucose", type=Path, metavar="CACHE",
        help="where the wheel with recorded glucose is kept (default: in the data folder)",
    )  # fmt: skip
    parser.set_defaults(command=_demo)


def _add_chaos(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Kills gateways, broker, collectors and PostgreSQL with SIGKILL, cuts, stalls and slows "
        "links, freezes collectors and damages an outbox, at random points under load; then "
        "compares what was sent and accepted with what the store holds and which gaps it names."
    )
    parser.add_argument("--rounds", type=int, default=10, help="faults to make (default 10)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed, the same faults")
    parser.add_argument("--rate", type=float, default=60.0, help="records a second (default 60)")
    parser.add_argument(
        "--data-dir", type=Path, help="keep the world here (default: a temporary one)"
    )
    parser.add_argument("--json", action="store_true", help="print the verdict as JSON")
    parser.set_defaults(command=_chaos)


def _add_bench(parser: argparse.ArgumentParser) -> None:
    parser.description = "Prints one line a measurement: ours, its baseline, the ratio, the aim."
    parser.add_argument("names", nargs="*", help="measurements to run (default: all)")
    parser.add_argument("--short", action="store_true", help="small sizes: proves that it runs")
    parser.add_argument("--json", type=Path, metavar="F", help="also write the figures to F")
    parser.set_defaults(command=_bench)


def _demo(options: argparse.Namespace) -> int:
    from wardlight_cloud.store.embedded import PostgresError
    from wardlight_lab.broker_programs import BrokerError
    from wardlight_lab.demo.run import Demo, Options
    from wardlight_lab.supervise import SupervisorError

    demo = Demo(
        Options(
            data_dir=options.data_dir,
            ready_file=options.ready_file,
            for_s=options.for_s,
            http_port=options.http_port,
            glucose=options.glucose,
        )
    )
    try:
        return asyncio.run(demo.run())
    except (SupervisorError, PostgresError, BrokerError) as error:
        # Their texts say what, where and what to do; a trace would bury it.
        sys.stderr.write(f"wardlight: {error}\n")
        return 1


def _chaos(options: argparse.Namespace) -> int:
    from wardlight_lab.chaos import campaign

    return campaign.run(
        rounds=options.rounds,
        seed=options.seed,
        rate=options.rate,
        data_dir=options.data_dir,
        as_json=options.json,
    )


def _bench(options: argparse.Namespace) -> int:
    from wardlight_lab.bench.table import run

    return run(options.names, short=options.short, json_file=options.json)
