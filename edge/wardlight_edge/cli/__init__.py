"""``wardlight-edge``: run the gateway, look at it, enrol its devices, decode bytes.

One file a group of commands; what a command needs is imported when it runs.

Exit codes  0 done; 1 the gateway or a check has trouble; 2 wrong usage or settings
"""

import argparse
import sys
from collections.abc import Callable, Sequence

from wardlight_edge.cli import devices, gateway, imaging, patient_key, scan
from wardlight_shared import __version__
from wardlight_shared.errors import ConfigError, StorageError, TransportError


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = _parser(is_decode=arguments[:1] == ["decode"])
    options = parser.parse_args(arguments)
    try:
        command: Callable[[argparse.Namespace], int] = options.command
        return command(options)
    except (ConfigError, StorageError, TransportError) as error:
        sys.stderr.write(f"wardlight-edge: {error}\n")
        return 2 if isinstance(error, ConfigError) else 1
    except KeyboardInterrupt:
        return 130


def _parser(*, is_decode: bool) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="wardlight-edge",
        description="Wardlight gateway: reads vitals devices, keeps and forwards their readings.",
        epilog="Not a medical device. docs/operations.md and docs/settings.md say more.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(
        metavar="{run,dicom,status,doctor,devices,scan,repair,patient-key,decode}", required=True
    )
    gateway.add(commands)
    imaging.add(commands)
    devices.add(commands)
    scan.add(commands)
    patient_key.add(commands)
    _add_decode(commands, is_asked=is_decode)
    return parser


def _add_decode(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", *, is_asked: bool
) -> None:
    text = "show what bytes of a device mean, as JSON"
    sub = commands.add_parser("decode", help=text, description=text)
    if is_asked:
        from wardlight_edge import decode

        decode.add_arguments(sub)
        sub.set_defaults(command=decode.run)
