"""Which model needs which repair, and which numbers are its own: quirks.toml beside this file.

Errors  ConfigError: quirks.toml is not of its form (a mistake of this program's own data)
"""

import tomllib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pkgutil import get_data
from typing import Final, TypeVar

import msgspec

from wardlight_edge.devices._repairs import REPAIRS
from wardlight_shared.errors import ConfigError
from wardlight_shared.model import DeviceInfo

_MOST_MODELS: Final = 256  # a gateway knows a handful; a hostile one cannot fill the memory


class Habit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What some models of one manufacturer do.

    manufacturer    prefix of the manufacturer's name
    models          prefixes of model names; "" = all
    characteristic  where the habit shows
    source          who found it
    """

    manufacturer: str
    models: tuple[str, ...]
    characteristic: str
    source: str


class Quirk(Habit, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Values that depart from their specification; ``repair`` is a name in _repairs.REPAIRS."""

    repair: str


class Meaning(Habit, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A number that the specification reserves, and what it ``means``."""

    number: int
    means: str


class Quirks(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of a quirks file."""

    quirk: tuple[Quirk, ...] = ()
    meaning: tuple[Meaning, ...] = ()


_HabitOf = TypeVar("_HabitOf", bound=Habit)


def parse(text: str) -> Quirks:
    """Parse the text of a quirks file; ConfigError for one that is not of its form."""
    try:
        quirks = msgspec.convert(tomllib.loads(text), Quirks)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ConfigError(f"quirks.toml: {error}") from error
    unknown = [quirk.repair for quirk in quirks.quirk if quirk.repair not in REPAIRS]
    if unknown:
        raise ConfigError(f"quirks.toml: repair {unknown[0]!r} is not in _repairs.py")
    return quirks


def _load() -> Quirks:
    return parse((get_data(__package__, "quirks.toml") or b"").decode("utf-8"))


QUIRKS: Final = _load()
"""Every known quirk."""


def repaired(characteristic: str, value: bytes, info: DeviceInfo) -> bytes:
    """Return the value in the form of its specification, by what ``info`` says of the device."""
    for quirk in _of(characteristic, info.manufacturer or "", info.model or ""):
        value = REPAIRS[quirk.repair](value)
    return value


def meanings(characteristic: str, info: DeviceInfo) -> Mapping[int, str]:
    """Reserved numbers of a characteristic that the device gives a meaning."""
    return _meanings(characteristic, info.manufacturer or "", info.model or "")


@lru_cache(maxsize=_MOST_MODELS)
def _of(characteristic: str, manufacturer: str, model: str) -> Sequence[Quirk]:
    return _shown_by(QUIRKS.quirk, characteristic, manufacturer, model)


@lru_cache(maxsize=_MOST_MODELS)
def _meanings(characteristic: str, manufacturer: str, model: str) -> Mapping[int, str]:
    shown = _shown_by(QUIRKS.meaning, characteristic, manufacturer, model)
    return {each.number: each.means for each in shown}


def _shown_by(
    habits: Sequence[_HabitOf], characteristic: str, manufacturer: str, model: str
) -> Sequence[_HabitOf]:
    maker, name = _letters(manufacturer), _letters(model)
    return [
        habit
        for habit in habits
        if habit.characteristic == characteristic and _is_of(habit, maker, name)
    ]


def _is_of(habit: Habit, maker: str, name: str) -> bool:
    known = _letters(habit.manufacturer)
    # Some write their own name before the model: "Beurer BM85".
    bare = name.removeprefix(known)
    return maker.startswith(known) and bare.startswith(tuple(map(_letters, habit.models)))


def _letters(text: str) -> str:
    return "".join(letter for letter in text.upper() if letter.isalnum())
