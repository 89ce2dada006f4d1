"""``wardlight-edge``: run the gateway, look at it, check its surroundings, decode bytes.

Exit codes  0 done; 1 the gateway or a check has trouble; 2 wrong usage or settings
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from wardlight_edge.config import Settings, load
from wardlight_shared import __version__
from wardlight_shared.errors import ConfigError, StorageError, TransportError

_DEFAULT_CONFIG: Final = Path("/etc/wardlight/edge.toml")


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
        metavar="{run,status,doctor,repair,patient-key,decode}", required=True
    )
    for name, command, text in (
        ("run", _run, "run the gateway until SIGTERM or Ctrl-C"),
        ("status", _status, "show what the running gateway does and what is wrong"),
        ("doctor", _doctor, "check settings, keys, broker, Bluetooth, ports, clock and disk"),
        ("repair", _repair, "forget the lost bond of a Bluetooth device, so that it pairs anew"),
        ("patient-key", _patient_key, "show under which key the readings of a patient are stored"),
    ):
        sub = commands.add_parser(name, help=text, description=text)
        sub.add_argument(
            "--config", type=Path, default=_DEFAULT_CONFIG, metavar="FILE",
            help=f"settings file (default: {_DEFAULT_CONFIG})",
        )  # fmt: skip
        if name == "status":
            sub.add_argument("--json", action="store_true", help="print JSON")
            sub.add_argument(
                "--alive", action="store_true",
                help="exit code 0 when the gateway answers, also when something is wrong",
            )  # fmt: skip
        if name == "repair":
            sub.add_argument(
                "identity", metavar="DEVICE", help="as in the settings file: ble:AABBCCDDEEFF"
            )
        if name == "patient-key":
            sub.add_argument(
                "--authority", default="", help="who gave the identifier (PID-3.4), if it is sent"
            )
        sub.set_defaults(command=command)
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


def _run(options: argparse.Namespace) -> int:
    from wardlight_edge.daemon import run
    from wardlight_edge.logs import configure

    settings = load(options.config)
    configure(settings.log)
    return run(settings)


def _status(options: argparse.Namespace) -> int:
    from wardlight_edge.status import client, views

    settings = load(options.config)
    octets = client.fetch(_port(settings), settings.status.host)
    snapshot = client.parse(octets)
    sys.stdout.write(octets.decode() + "\n" if options.json else views.text(snapshot))
    return 1 if snapshot.trouble and not options.alive else 0


def _repair(options: argparse.Namespace) -> int:
    from wardlight_edge.status import client

    settings = load(options.config)
    file = settings.data_dir / "status.token"
    try:
        token = file.read_text(encoding="ascii").strip()
    except PermissionError as error:
        raise TransportError(f"{file}: use the account of the gateway, or root") from error
    except (OSError, UnicodeDecodeError) as error:
        raise TransportError(f"the gateway does not run ({file} is not there)") from error
    client.repair(_port(settings), settings.status.host, token, options.identity)
    sys.stdout.write(
        f"{options.identity}: its bond is forgotten; put the device into pairing mode near the "
        "gateway, and take a measurement\n"
    )
    return 0


def _patient_key(options: argparse.Namespace) -> int:
    from wardlight_edge.devices import Subject
    from wardlight_edge.sessions.lan import ports_of, subject_keys
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


def _port(settings: Settings) -> int:
    file = settings.data_dir / "status.port"
    try:
        return int(file.read_text(encoding="ascii"))
    except PermissionError as error:
        # The folder is the gateway's own; its page is open to everybody on this machine.
        if settings.status.port:
            return settings.status.port
        raise TransportError(
            f"{file} may not be read: use the account of the gateway, or root"
        ) from error
    except (OSError, ValueError) as error:
        raise TransportError(f"the gateway does not run ({file} is not there)") from error


def _doctor(options: argparse.Namespace) -> int:
    from wardlight_edge import doctor

    findings = doctor.examine(load(options.config))
    for finding in findings:
        sys.stdout.write(f"{'ok  ' if finding.good else 'BAD '} {finding.what}: {finding.text}\n")
    return 0 if all(finding.good for finding in findings) else 1
