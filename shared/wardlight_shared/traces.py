"""Where an exception comes from, as a log may tell it: without what foreign exceptions say.

Libraries quote what they were given, which may be a patient's name or values; texts of
WardlightError are written to hold none.
"""

import errno
import traceback
from collections.abc import Iterator

from wardlight_shared.errors import WardlightError


def trace_of(error: BaseException) -> str:
    """Traceback of an exception and of those that led to it, the oldest first; several lines."""
    return "\n".join(_told(error, set()))


def _told(error: BaseException, seen: set[int]) -> Iterator[str]:
    seen.add(id(error))
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None and id(before) not in seen:
        yield from _told(before, seen)
        yield "which led to"
    yield from "".join(traceback.format_tb(error.__traceback__)).splitlines()
    yield _name(error)
    for each in error.exceptions if isinstance(error, BaseExceptionGroup) else ():
        yield from (f"  | {line}" for line in _told(each, seen))


def _name(error: BaseException) -> str:
    kind = type(error).__name__
    if isinstance(error, WardlightError):
        return f"{kind}: {error}"
    code = error.errno if isinstance(error, OSError) else None
    return kind if code is None else f"{kind}: {errno.errorcode.get(code, code)}"
