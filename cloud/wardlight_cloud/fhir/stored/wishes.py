"""What somebody wants done to stored resources, and what became of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

Query = tuple[tuple[str, str], ...]
"""Parameters of a condition."""

ANY_VERSION: Final = "*"


@dataclass(frozen=True, slots=True)
class Wish:
    """One interaction that changes something.

    ``id`` None: POST, or by ``query`` (conditional). ``if_none_exist``: of a POST. ``place`` stands
    before the expressions of what is wrong. ``full_url``: what others of a Bundle call it.
    ``if_match``, ``if_none_match``: versions of which one must be the current one, or none may be.
    """

    method: Literal["POST", "PUT", "PATCH", "DELETE"]
    kind: str
    id: str | None = None
    query: Query | None = None
    resource: dict[str, Any] | None = None
    patch: Any = None
    if_match: frozenset[int] | Literal["*"] | None = None
    if_none_exist: Query | None = None
    place: str = ""
    full_url: str | None = None
    if_none_match: frozenset[int] | Literal["*"] | None = None


@dataclass(frozen=True, slots=True)
class OwnFound:
    """What this server made itself, and a condition finds. ``text``: the resource as JSON."""

    id: str
    version: str
    updated: datetime
    text: bytes
    is_readable: bool


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a wish. ``text``: the resource as JSON; None after a deletion.

    ``is_readable``: whether the asker may be shown it; who may only create or update may not.
    """

    status: int
    kind: str
    id: str
    version: str | None
    updated: datetime | None
    text: bytes | None
    is_readable: bool = False
