"""Functions of what clients send, remembered for the short texts that come over and over.

A cache counts its entries, not their octets: without this a client could fill it with texts as long
as a request may be, some of them before anybody has asked who it is.
"""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, Final, ParamSpec, TypeVar

_Given = ParamSpec("_Given")
_Made = TypeVar("_Made")

MAX_CHARACTERS: Final = 256
"""Of all texts of a call together; what is longer is computed each time."""


def remembered(calls: int) -> Callable[[Callable[_Given, _Made]], Callable[_Given, _Made]]:
    """Keep the results of the last ``calls`` different calls; arguments are texts or None."""

    def decorate(compute: Callable[_Given, _Made]) -> Callable[_Given, _Made]:
        kept: Any = lru_cache(maxsize=calls)(compute)

        @wraps(compute)
        def ask(*given: _Given.args, **named: _Given.kwargs) -> _Made:
            texts: Any = (*given, *named.values())
            is_short = sum([len(text) for text in texts if text is not None]) <= MAX_CHARACTERS
            found: _Made = (kept if is_short else compute)(*given, **named)
            return found

        return ask

    return decorate
