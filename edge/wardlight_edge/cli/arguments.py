"""What the commands' arguments have in common."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

DEFAULT_CONFIG: Final = Path("/etc/wardlight/edge.toml")
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
Command = Callable[[argparse.Namespace], int]


def add_command(
    commands: Commands, name: str, command: Command, text: str
) -> argparse.ArgumentParser:
    """A command that reads the settings file; ``command`` returns the exit code."""
    sub = commands.add_parser(name, help=text, description=text)
    sub.add_argument(
        "--config", type=Path, default=DEFAULT_CONFIG, metavar="FILE",
        help=f"settings file (default: {DEFAULT_CONFIG})",
    )  # fmt: skip
    sub.set_defaults(command=command)
    return sub
