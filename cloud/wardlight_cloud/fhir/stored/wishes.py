"""What somebody wants done to stored resources, and what became of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from wardlight_cloud.store.resources import ResourceRow

Query = tuple[tuple[str, str], ...]
"""Parameters of a condition."""


@dataclass(frozen=True, slots=True)
class Wish:
    """One interaction that changes something.

    ``id`` None: POST, or by ``query`` (conditional). ``if_none_exist``: of a POST. ``place`` stands
    before the expressions of what is wrong. ``full_url``: what others of a Bundle call it.
    """

    method: Literal["POST", "PUT", "PATCH", "DELETE"]
    kind: str
    id: str | None = None
    query: Query | None = None
    resource: dict[str, Any] | None = None
    patch: Any = None
    if_match: int | None = None
    if_none_exist: Query | None = None
    place: str = ""
    full_url: str | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a wish. ``body``: as the store keeps it; None after a deletion.

    ``is_readable``: whether the asker may be shown it; who may only create or update may not.
    """

    status: int
    kind: str
    id: str
    commit_seq: int | None
    stored_at: datetime | None
    body: bytes | None
    is_readable: bool = False


def row_of(done: Done) -> ResourceRow:
    """What was written, as a row, to be shown."""
    assert done.commit_seq is not None and done.stored_at is not None  # noqa: S101 - it was written
    return ResourceRow(0, done.kind, done.id, done.commit_seq, done.stored_at, done.body, ())
