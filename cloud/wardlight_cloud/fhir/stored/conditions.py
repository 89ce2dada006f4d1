"""Search criteria as conditions of the store: plain parameters, chains, ``_has``, ``_id``.

    Within says for each kind whose resources may be looked at, so that chains and ``_has`` tell
    nothing of what the asker could not search.

Of what this server makes itself the store has no index: a chain or ``_has`` that readings, sensors
and the like could meet is looked up before (looked_up.py), or refused.

Errors  FhirError 400 with the parameter at fault; 403 from Within
Source  R4 4.0.1 3.1.1.4, 3.1.1.5.1 (chains, reverse chains)
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from wardlight_cloud.fhir.outcome import FhirError, invalid
from wardlight_cloud.fhir.stored.kinds import OWN_REFERENCES
from wardlight_cloud.fhir.stored.parameter_table import SEARCH_PARAMETERS, SearchParameter
from wardlight_cloud.fhir.stored.search_values import alternatives, condition, plain
from wardlight_cloud.store.resources import Condition, HasId, IsReferredTo, Patients, RefersTo

HAS: Final = "_has"
_MOST_LINKS: Final = 3
_ID: Final = "_id"


@dataclass(frozen=True, slots=True)
class Limits:
    """Whose resources of a kind may be seen, and what else they must be."""

    patients: Patients
    conditions: tuple[Condition, ...] = ()


Within = Callable[[str], Limits]
"""Limits of a search of a kind; raises FhirError 403."""


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain: the reference that it begins with, the one kind it leads to, and what follows."""

    parameter: SearchParameter
    target: str
    rest: str


Known = Mapping[tuple[str, str], Condition]
"""Conditions that were looked up before, by name and text of the parameter."""


class Criteria:
    """Makes conditions; ``base``: the address that makes a reference one of ours."""

    def __init__(self, within: Within, base: str, known: Known | None = None) -> None:
        self._within = within
        self._base = base
        self._known = known or {}

    def knows(self, kind: str, name: str) -> bool:
        """Whether the name (with modifier or chain) begins with a parameter of the kind."""
        plain_name = name.partition(":")[0].partition(".")[0]
        return plain_name in (HAS, _ID) or plain_name in SEARCH_PARAMETERS[kind]

    def condition(self, kind: str, name: str, text: str) -> Condition:
        """The condition of one parameter that is known."""
        looked_up = self._known.get((name, text))
        return looked_up or self._condition(kind, name, text, _MOST_LINKS)

    def _condition(self, kind: str, name: str, text: str, links: int) -> Condition:
        if links == 0:
            raise invalid(name, f"a chain has at most {_MOST_LINKS - 1} links")
        if name.startswith(f"{HAS}:"):
            return self._has(kind, name, text, links)
        first, dot, _ = name.partition(".")
        plain_name, _, modifier = first.partition(":")
        if plain_name == _ID:
            return _ids(name, modifier or dot, text)
        parameter = SEARCH_PARAMETERS[kind].get(plain_name)
        if parameter is None:
            raise invalid(name, f"{kind} has no search parameter {plain_name[:64]}")
        if (chain := self.chain(kind, name)) is not None:
            return self._chained(chain, text, links)
        return condition(parameter, modifier, text, self._base)

    def chain(self, kind: str, name: str) -> Chain | None:
        """Where a parameter of a kind leads to; None when it is no chain."""
        first, dot, rest = name.partition(".")
        plain_name, _, modifier = first.partition(":")
        parameter = SEARCH_PARAMETERS[kind].get(plain_name)
        if not dot or parameter is None:
            return None
        name = f"{parameter.name}.{rest}"
        if parameter.type != "reference":
            raise invalid(name, "only a reference can be followed by a chain")
        targets = [
            each
            for each in ([modifier] if modifier else parameter.targets or ())
            if each in SEARCH_PARAMETERS and self.knows(each, rest)
        ]
        if len(targets) != 1:
            raise invalid(name, "say to which type: for instance subject:Patient.identifier")
        if parameter.targets is not None and targets[0] not in parameter.targets:
            raise invalid(name, f"leads to {', '.join(parameter.targets)}")
        return Chain(parameter, targets[0], rest)

    def _chained(self, chain: Chain, text: str, links: int) -> Condition:
        name = f"{chain.parameter.name}.{chain.rest}"
        if chain.target in OWN_REFERENCES:
            raise invalid(name, _not_here(chain.target))
        limits = self._within(chain.target)
        wanted = self._condition(chain.target, chain.rest, text, links - 1)
        conditions = (*limits.conditions, wanted)
        return RefersTo(chain.parameter.name, chain.target, limits.patients, conditions)

    def _has(self, kind: str, name: str, text: str, links: int) -> Condition:
        _, *parts = name.split(":", 3)
        if len(parts) != 3:
            raise invalid(HAS, "write it as _has:Observation:patient:code")
        other, reference, rest = parts
        parameter = SEARCH_PARAMETERS.get(other, {}).get(reference)
        if parameter is None or parameter.type != "reference":
            raise invalid(name, "names no reference of a type that is stored here")
        if parameter.targets is not None and kind not in parameter.targets:
            raise invalid(name, f"{other}.{reference} does not lead to {kind}")
        if is_of_own(kind, other, reference):
            raise invalid(name, _not_here(other))
        limits = self._within(other)
        wanted = self._condition(other, rest, text, links - 1)
        conditions = (*limits.conditions, wanted)
        return IsReferredTo(other, reference, limits.patients, conditions)


def is_of_own(kind: str, other: str, reference: str) -> bool:
    """Whether what this server makes itself of the other kind refers so to the kind."""
    return OWN_REFERENCES.get(other, {}).get(reference) == kind


def _not_here(kind: str) -> str:
    return (
        f"what this server itself makes of {kind} cannot be looked through in this place; search "
        f"{kind} first, then name what it found"
    )


def _ids(name: str, modifier: str, text: str) -> HasId:
    if modifier not in ("", "not"):
        raise invalid(name, "the modifier is not supported; this server knows :not")
    ids = tuple(plain(each) for each in alternatives(text))
    if not ids:
        raise invalid(name, "has no value; leave it out, or say what to look for")
    return HasId(ids, negated=modifier == "not")


def criteria_of_query(
    criteria: Criteria, kind: str, given: Sequence[tuple[str, str]]
) -> tuple[Condition, ...]:
    """Conditions of If-None-Exist and the like, all of which must be understood: 412 and 400."""
    found = []
    for name, text in given:
        if not criteria.knows(kind, name):
            raise FhirError(
                400, "invalid", f"{name[:64]}: {kind} has no such search parameter",
                expression=f"http.{name[:64]}",
            )  # fmt: skip
        found.append(criteria.condition(kind, name, text))
    if not found:
        raise FhirError(412, "invalid", "The condition has no search parameter.")
    return tuple(found)
