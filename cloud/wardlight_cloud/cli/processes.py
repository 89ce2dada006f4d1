"""Commands that run: all, collect, serve, and migrate."""

import argparse
import asyncio
import math
import os
import sys
from typing import Any, Final

from wardlight_cloud.config import Settings

# A worker that does not answer its parent for this long hangs, and is replaced. One that starts
# answers late: on a busy machine of two cores it is in its imports for longer than the server's
# own limit of 5 s, was killed in them, and started again for ever.
_LARGEST_FRAME: Final = 4096  # octets; of websockets clients say which subscriptions they want
_WORKER_ANSWERS_WITHIN_S: Final = 60

# The processes are imported late: each command pays for, and can be hurt by, its own parts only.


def add_commands(commands: Any, config: argparse.ArgumentParser) -> None:
    """Add the parsers of these commands."""
    for name, command, text in (
        ("all", _all, "run collector and API; with an embedded PostgreSQL where no DSN is set"),
        ("collect", _collect, "run a collector until SIGTERM or Ctrl-C"),
        ("serve", _serve, "serve FHIR, dashboard and live feed"),
        ("migrate", _migrate, "bring the database to this program's schema"),
    ):
        parser = commands.add_parser(name, parents=[config], help=text, description=text)
        parser.set_defaults(command=command)
        if name == "collect":
            parser.add_argument(
                "--metrics-port", type=int, metavar="PORT",
                help="serve Prometheus metrics of this collector on 127.0.0.1:PORT",
            )  # fmt: skip
        if name == "migrate":
            parser.add_argument(
                "--wait", type=_seconds, default=0.0, metavar="S",
                help="while the database is away, try again for S seconds (default: once)",
            )  # fmt: skip


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < math.inf:
        raise argparse.ArgumentTypeError("0 or more seconds")
    return seconds


def _all(settings: Settings, options: argparse.Namespace) -> int:
    from wardlight_cloud import one_box

    return asyncio.run(one_box.run(settings, options.config))


def _collect(settings: Settings, options: argparse.Namespace) -> int:
    import uvloop

    from wardlight_cloud import collect

    uvloop.run(collect.run(settings, metrics_port=options.metrics_port))
    return 0


def _serve(settings: Settings, options: argparse.Namespace) -> int:
    import uvicorn

    from wardlight_cloud.worker_metrics import shared_among_workers

    if options.config is not None:
        os.environ["WARDLIGHT_CONFIG_FILE"] = str(options.config)
    with shared_among_workers(settings.http.workers):
        uvicorn.run(
            "wardlight_cloud.app:from_environment",
            factory=True,
            host=settings.http.host,
            port=settings.http.port,
            workers=settings.http.workers,
            log_config=None,  # ours stands
            access_log=False,  # paths may name patients
            timeout_worker_healthcheck=_WORKER_ANSWERS_WITHIN_S,
            ws_max_size=_LARGEST_FRAME,
            timeout_graceful_shutdown=3,  # an open live connection never ends by itself
        )
    return 0


def _migrate(settings: Settings, options: argparse.Namespace) -> int:
    from wardlight_cloud.store.open import migrate_store

    count = asyncio.run(migrate_store(settings, wait_s=options.wait))
    sys.stdout.write(f"{count} migrations run\n" if count else "the schema is current\n")
    return 0
