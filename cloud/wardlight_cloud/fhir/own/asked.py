"""What a search for a kind of own/ asks for, taken apart; pure functions.

Errors  FhirError 400 with the parameter at fault
Source  R4 4.0.1 3.1.1
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from wardlight_cloud.fhir.dates import bounds
from wardlight_cloud.fhir.outcome import invalid
from wardlight_cloud.fhir.parameters import reference_id, split_values, token
from wardlight_cloud.store.queries import TimeBound


@dataclass(frozen=True, slots=True)
class Asked:
    """Parameters as they were honoured, each name perhaps more than once."""

    pairs: tuple[tuple[str, str], ...]

    def texts(self, name: str) -> list[str]:
        """All values of a parameter."""
        return [text for given, text in self.pairs if given == name]

    def values(self, name: str) -> tuple[str, ...] | None:
        """Values of which one must hold; None = not asked for. Given again: in all of them."""
        found: tuple[str, ...] | None = None
        for text in self.texts(name):
            found = _in_both(found, split_values(text))
        return found

    def codes(self, name: str, systems: Iterable[str | None]) -> tuple[str, ...] | None:
        """Codes of tokens; one of another system is none of ours. None in systems = any.

        ``system|`` is any code of a system: where there is one alone, it asks for nothing.
        """
        found: tuple[str, ...] | None = None
        known = frozenset(systems)
        any_known = known | {None}
        for text in self.texts(name):
            pairs = [token(value) for value in split_values(text)]
            if len(known) == 1 and any(not code and system in known for system, code in pairs):
                continue
            found = _in_both(found, [c for system, c in pairs if system in any_known and c])
        return found

    def names(self, name: str, systems: Iterable[str | None]) -> tuple[str, ...] | None:
        """Values of ``_id`` that are also codes of an identifier; None = neither is asked for."""
        ids, codes = self.values("_id"), self.codes(name, systems)
        if ids is None or codes is None:
            return codes if ids is None else ids
        return _in_both(ids, codes)

    def ids(self, name: str, kind: str) -> tuple[UUID, ...] | None:
        """UUIDs of references to a kind; those that can be none of ours are left out."""
        found: set[UUID] | None = None
        for text in self.texts(name):
            ids = {reference_id(name, value, kind) for value in split_values(text)}
            made = {each for each in ids if each is not None}
            found = made if found is None else found & made
        return None if found is None else tuple(sorted(found))

    def interval(self, *names: str) -> tuple[datetime | None, datetime | None]:
        """[start, end) of all dates that are asked for; None = open."""
        start: datetime | None = None
        end: datetime | None = None
        for name in names:
            for text in self.texts(name):
                for bound in _bounds(name, text):
                    if bound.op == "ge":
                        start = bound.instant if start is None else max(start, bound.instant)
                    else:
                        end = bound.instant if end is None else min(end, bound.instant)
        return start, end


def _in_both(found: tuple[str, ...] | None, more: Sequence[str]) -> tuple[str, ...]:
    """What is left of the first; there may be thousands of either."""
    if found is None:
        return tuple(more)
    wanted = frozenset(more)
    return tuple(each for each in found if each in wanted)


def _bounds(name: str, text: str) -> Sequence[TimeBound]:
    if "," in text:
        raise invalid(name, "a comma list of dates is not supported; repeat the parameter")
    try:
        return bounds(text.replace(" ", "+"))
    except ValueError as error:
        raise invalid(name, str(error)) from error


def within(
    reach: tuple[UUID, ...] | None, asked: tuple[UUID, ...] | None
) -> tuple[UUID, ...] | None:
    """Patients to look for: those asked for that are in reach; None = all there are."""
    if asked is None or reach is None:
        return reach if asked is None else asked
    return tuple(each for each in asked if each in reach)
