"""Secrets for an operator's command: the file from which systemd gives them to the services.

``--env-file`` reads what ``EnvironmentFile=`` of the units reads: ``NAME=VALUE`` a line, comments
after ``#`` or ``;``, a value in quotes or not. Source: systemd.exec(5), EnvironmentFile.
"""

import os
import re
from pathlib import Path
from typing import Final

from wardlight_shared.errors import ConfigError

_LINE: Final = re.compile(r"\s*(?P<name>[A-Za-z_][A-Za-z0-9_]*)=\s*(?P<value>.*?)\s*")
_OURS: Final = "WARDLIGHT_"


def take_environment(file: Path) -> None:
    """Put the WARDLIGHT_* of a file in the environment, but for what stands there already.

    Raises ConfigError for a file that cannot be read or a line that sets nothing; never quotes it.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigError(
            f"--env-file: {file} cannot be read ({reason}); where it belongs to root, use sudo"
        ) from None
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith(("#", ";")):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise ConfigError(f"--env-file: {file}, line {number}: not NAME=VALUE")
        if match["name"].startswith(_OURS):
            os.environ.setdefault(match["name"], _bare(match["value"]))


def _bare(value: str) -> str:
    is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1] if is_quoted else value
