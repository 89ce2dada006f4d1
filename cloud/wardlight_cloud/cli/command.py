"""The command line: which command, with which settings, ends with which exit code.

Exit codes  0 done; 1 something failed, try again; 2 wrong usage or settings
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from wardlight_cloud.cli.access import add_commands as add_access
from wardlight_cloud.cli.blobs import add_commands as add_blobs
from wardlight_cloud.cli.dicom import add_commands as add_dicom
from wardlight_cloud.cli.exporting import add_commands as add_exporting
from wardlight_cloud.cli.gateways import add_commands as add_gateways
from wardlight_cloud.cli.hl7 import add_commands as add_hl7
from wardlight_cloud.cli.images import add_commands as add_images
from wardlight_cloud.cli.importing import add_commands as add_importing
from wardlight_cloud.cli.processes import add_commands as add_processes
from wardlight_cloud.cli.quarantine import add_commands as add_quarantine
from wardlight_cloud.cli.register import add_commands as add_register
from wardlight_cloud.cli.viewer import add_commands as add_viewer
from wardlight_cloud.cli.worklist import add_commands as add_worklist
from wardlight_cloud.config import load
from wardlight_cloud.environment_file import take_environment
from wardlight_cloud.logs import configure
from wardlight_shared import __version__
from wardlight_shared.errors import ConfigError, WardlightError


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        if options.env_file is not None:
            take_environment(options.env_file)
        settings = load(options.config)
        configure(settings.log)
        code: int = options.command(settings, options)
        sys.stdout.flush()
    except WardlightError as error:
        sys.stderr.write(f"wardlight-cloud: {error}\n")
        return 2 if isinstance(error, ConfigError) else 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return _unread()
    return code


def _unread() -> int:
    """Whoever read our output has seen enough (`| head`); nothing is written after that."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="wardlight-cloud",
        description="Wardlight cloud: collects readings, stores them, serves FHIR and a dashboard.",
        epilog="Not a medical device. docs/operations.md and docs/settings.md say more.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    config = argparse.ArgumentParser(add_help=False)
    config.add_argument(
        "--config", type=Path, metavar="FILE",
        help="settings file; without it defaults and WARDLIGHT_* of the environment hold",
    )  # fmt: skip
    config.add_argument(
        "--env-file", type=Path, metavar="FILE",
        help="read WARDLIGHT_* from this file too, as systemd does: /etc/wardlight/cloud.env",
    )  # fmt: skip
    commands = parser.add_subparsers(required=True)
    add_processes(commands, config)
    add_gateways(commands, config)
    add_register(commands, config)
    add_access(commands, config)
    add_quarantine(commands, config)
    add_images(commands, config)
    add_blobs(commands, config)
    add_viewer(commands, config)
    add_dicom(commands, config)
    add_hl7(commands, config)
    add_importing(commands, config)
    add_exporting(commands, config)
    add_worklist(commands, config)
    return parser
