"""Which model needs which repair: quirks.toml beside this file, and nothing in the decoders.

Errors  ConfigError: quirks.toml is not of its form (a mistake of this program's own data)
"""

import tomllib
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Final

import msgspec

from wardlight_edge.devices._repairs import REPAIRS
from wardlight_shared.errors import ConfigError
from wardlight_shared.model import DeviceInfo

_MOST_MODELS: Final = 256  # a gateway knows a handful; a hostile one cannot fill the memory


class Quirk(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One habit of some models of one manufacturer.

    manufacturer    prefix of the manufacturer's name
    models          prefixes of model names
    characteristic  where the habit shows
    repair          name in _repairs.REPAIRS
    source          who found it
    """

    manufacturer: str
    models: tuple[str, ...]
    characteristic: str
    repair: str
    source: str


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    quirk: tuple[Quirk, ...]


def parse(text: str) -> tuple[Quirk, ...]:
    """Parse the text of a quirks file; ConfigError for one that is not of its form."""
    try:
        quirks = msgspec.convert(tomllib.loads(text), _File).quirk
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ConfigError(f"quirks.toml: {error}") from error
    unknown = [quirk.repair for quirk in quirks if quirk.repair not in REPAIRS]
    if unknown:
        raise ConfigError(f"quirks.toml: repair {unknown[0]!r} is not in _repairs.py")
    return quirks


def _load() -> tuple[Quirk, ...]:
    return parse(files(__package__).joinpath("quirks.toml").read_text(encoding="utf-8"))


QUIRKS: Final = _load()
"""Every known quirk."""


def repaired(characteristic: str, value: bytes, info: DeviceInfo) -> bytes:
    """Return the value in the form of its specification, by what ``info`` says of the device."""
    for quirk in _of(characteristic, info.manufacturer or "", info.model or ""):
        value = REPAIRS[quirk.repair](value)
    return value


@lru_cache(maxsize=_MOST_MODELS)
def _of(characteristic: str, manufacturer: str, model: str) -> Sequence[Quirk]:
    maker, name = _letters(manufacturer), _letters(model)
    return [
        quirk
        for quirk in QUIRKS
        if quirk.characteristic == characteristic and _is_of(quirk, maker, name)
    ]


def _is_of(quirk: Quirk, maker: str, name: str) -> bool:
    known = _letters(quirk.manufacturer)
    # Some write their own name before the model: "Beurer BM85".
    bare = name.removeprefix(known)
    return maker.startswith(known) and bare.startswith(tuple(map(_letters, quirk.models)))


def _letters(text: str) -> str:
    return "".join(letter for letter in text.upper() if letter.isalnum())
