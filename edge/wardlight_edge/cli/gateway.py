"""``wardlight-edge run``, ``status`` and ``doctor``: the gateway as a whole."""

import argparse
import sys

from wardlight_edge.cli.arguments import Commands, add_command
from wardlight_edge.cli.local_page import port_of
from wardlight_edge.config import load


def add(commands: Commands) -> None:
    """Add the commands."""
    add_command(commands, "run", _run, "run the gateway until SIGTERM or Ctrl-C")
    status = add_command(
        commands, "status", _status, "show what the running gateway does and what is wrong"
    )
    status.add_argument("--json", action="store_true", help="print JSON")
    status.add_argument(
        "--alive", action="store_true",
        help="exit code 0 when the gateway answers, also when something is wrong",
    )  # fmt: skip
    add_command(
        commands, "doctor", _doctor,
        "check settings, keys, broker, Bluetooth, proxies, ports, clock, disk and DICOM services",
    )  # fmt: skip


def _run(options: argparse.Namespace) -> int:
    from wardlight_edge.daemon import run
    from wardlight_edge.logs import configure

    settings = load(options.config)
    configure(settings.log)
    return run(settings)


def _status(options: argparse.Namespace) -> int:
    from wardlight_edge.status import client, views

    settings = load(options.config)
    octets = client.fetch(port_of(settings), settings.status.host)
    snapshot = client.parse(octets)
    sys.stdout.write(octets.decode() + "\n" if options.json else views.text(snapshot))
    return 1 if snapshot.trouble and not options.alive else 0


def _doctor(options: argparse.Namespace) -> int:
    from wardlight_edge import doctor

    findings = doctor.examine(load(options.config))
    for finding in findings:
        sys.stdout.write(f"{'ok  ' if finding.good else 'BAD '} {finding.what}: {finding.text}\n")
    return 0 if all(finding.good for finding in findings) else 1
