"""Options of a decoder: one it does not have is a mistake in the profile, and said before a link.

Errors  ConfigError
"""

from wardlight_edge.devices._base import Options
from wardlight_shared.errors import ConfigError


def check_options(decoder: str, options: Options, known: frozenset[str] = frozenset()) -> None:
    """Raise ConfigError for an option that is not one of ``known``."""
    strange = sorted(options.keys() - known)
    if strange:
        has = f"it has {', '.join(sorted(known))}" if known else "it has none"
        raise ConfigError(f"[options] {strange[0]}: no option of {decoder}; {has}")


def flag(options: Options, name: str, default: bool) -> bool:
    """Return a true or false option; ConfigError for another type."""
    value = options.get(name, default)
    if not isinstance(value, bool):
        raise ConfigError(f"[options] {name}: must be true or false")
    return value
