"""Device profiles from a folder of TOML files; the schema is ``wardlight_shared.profile``.

Errors  ProfileError: file and key, and what to do
"""

from collections.abc import Iterable
from pathlib import Path

from wardlight_shared import profile
from wardlight_shared.errors import ProfileError
from wardlight_shared.profile import Profile

MAX_BYTES = 64 * 1024


def load(folder: Path, names: Iterable[str]) -> dict[str, Profile]:
    """The profiles called ``names`` (file names without .toml); other files are not read."""
    return {name: load_file(folder / f"{name}.toml") for name in sorted(set(names))}


def load_all(folder: Path) -> dict[str, Profile]:
    """Every profile of a folder by name, in order of the names."""
    if not folder.is_dir():
        raise ProfileError(f"{folder}: no such folder; set the key 'profiles_dir'")
    return {file.stem: load_file(file) for file in sorted(folder.glob("*.toml"))}


def load_file(file: Path) -> Profile:
    """One profile."""
    try:
        octets = file.read_bytes()
    except FileNotFoundError as error:
        raise ProfileError(f"{file}: no such profile; {_known(file.parent)}") from error
    except OSError as error:
        raise ProfileError(f"{file}: cannot be read ({error.strerror})") from error
    if len(octets) > MAX_BYTES:
        raise ProfileError(f"{file}: {len(octets)} bytes, a profile has at most {MAX_BYTES}")
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ProfileError(f"{file}: not UTF-8 (byte {error.start})") from error
    return profile.parse(text, source=str(file))


def _known(folder: Path) -> str:
    names = sorted(file.stem for file in folder.glob("*.toml")) if folder.is_dir() else []
    if not names:
        return f"{folder} holds none, set the key 'profiles_dir'"
    return f"{folder} holds {', '.join(names)}"
