"""Refusals of changes, each with the place in its request: an entry of a Bundle, an element."""

from typing import Any

from wardlight_cloud.fhir.outcome import FhirError
from wardlight_cloud.fhir.stored.wishes import Wish


def refused(
    wish: Wish,
    status: int,
    code: Any,
    diagnostics: str,
    element: str = "",
    headers: dict[str, str] | None = None,
) -> FhirError:
    """An error about a wish; ``element``: of its resource."""
    expression = f"{wish.place}{wish.kind}.{element}" if element else wish.place.rstrip(".")
    return FhirError(status, code, diagnostics, expression=expression or wish.kind, headers=headers)


def many(wish: Wish) -> FhirError:
    """412 for a condition that finds several."""
    return refused(wish, 412, "multiple-matches", "The condition finds more than one resource.")


def stale(wish: Wish) -> FhirError:
    """412 for another version than the one held."""
    return refused(
        wish, 412, "conflict", "If-Match is not the current version; read it and try again."
    )


def there_already(wish: Wish) -> FhirError:
    """412 for what If-None-Match does not want to be there."""
    text = f"If-None-Match: this {wish.kind} is there already, in such a version; read it first."
    return refused(wish, 412, "conflict", text)


def made_here(wish: Wish) -> FhirError:
    """405 for a change of what this server makes itself."""
    return refused(
        wish, 405, "not-supported",
        f"This {wish.kind} is made by this server from what devices sent; it cannot be changed. "
        "Create one of your own beside it.", headers={"Allow": "GET, HEAD"},
    )  # fmt: skip


def taken(wish: Wish, identifiers: Any, identifier: tuple[str, str]) -> FhirError:
    """422 with the element of a Patient that says another one's identifier."""
    pairs = [(each.get("system", ""), each.get("value")) for each in identifiers]
    text = (
        "Another Patient has this identifier (system and value). Find it with "
        "Patient?identifier=... and change that one, or take the identifier from it first."
    )
    return refused(wish, 422, "duplicate", text, f"identifier[{pairs.index(identifier)}]")
