"""``wardlight-edge patient-key``: under which key the readings of a patient are stored."""

import argparse
import sys

from wardlight_edge.cli.arguments import Commands, add_command
from wardlight_edge.config import load
from wardlight_shared.errors import ConfigError


def add(commands: Commands) -> None:
    """Add the command."""
    sub = add_command(
        commands, "patient-key", _patient_key,
        "show under which key the readings of a patient are stored",
    )  # fmt: skip
    sub.add_argument(
        "--authority", default="", help="who gave the identifier (PID-3.4), if it is sent"
    )


def _patient_key(options: argparse.Namespace) -> int:
    from wardlight_edge.devices import Subject
    from wardlight_edge.sessions.lan import subject_keys
    from wardlight_edge.sessions.lan_ports import ports_of
    from wardlight_edge.sessions.subject_keys import source_identity

    settings = load(options.config)
    name = "lan:hl7"
    port = ports_of(settings).get(name)
    if port is None:
        raise ConfigError(
            f"{options.config}: there is no [lan.hl7]; docs/settings.md lists its keys"
        )
    # From standard input: a command line stands in the shell's history and the process list.
    identifier = sys.stdin.readline().strip()
    if not identifier:
        raise ConfigError("patient-key: give the identifier on standard input")
    subject = Subject("patient", options.authority, identifier)
    key = subject_keys(port, settings.data_dir).key(subject)
    sys.stdout.write(f"{source_identity(name, key)}\n")
    return 0
