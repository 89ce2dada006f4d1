"""Search criteria as conditions of the store: plain parameters, chains, ``_has``, ``_id``.

    Within says for each kind whose resources may be looked at, so that chains and ``_has`` tell
    nothing of what the asker could not search.

Errors  FhirError 400 with the parameter at fault; 403 from Within
Source  R4 4.0.1 3.1.1.4, 3.1.1.5.1 (chains, reverse chains)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from wardlight_cloud.fhir.outcome import FhirError, invalid
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


class Criteria:
    """Makes conditions; ``base``: the address that makes a reference one of ours."""

    def __init__(self, within: Within, base: str) -> None:
        self._within = within
        self._base = base

    def knows(self, kind: str, name: str) -> bool:
        """Whether the name (with modifier or chain) begins with a parameter of the kind."""
        plain_name = name.partition(":")[0].partition(".")[0]
        return plain_name in (HAS, _ID) or plain_name in SEARCH_PARAMETERS[kind]

    def condition(self, kind: str, name: str, text: str) -> Condition:
        """The condition of one parameter that is known."""
        return self._condition(kind, name, text, _MOST_LINKS)

    def _condition(self, kind: str, name: str, text: str, links: int) -> Condition:
        if links == 0:
            raise invalid(name, f"a chain has at most {_MOST_LINKS - 1} links")
        if name.startswith(f"{HAS}:"):
            return self._has(kind, name, text, links)
        first, dot, rest = name.partition(".")
        plain_name, _, modifier = first.partition(":")
        if plain_name == _ID:
            return _ids(name, modifier or dot, text)
        parameter = SEARCH_PARAMETERS[kind].get(plain_name)
        if parameter is None:
            raise invalid(name, f"{kind} has no search parameter {plain_name[:64]}")
        if dot:
            return self._chain(parameter, modifier, rest, text, links)
        return condition(parameter, modifier, text, self._base)

    def _chain(
        self, parameter: SearchParameter, kind: str, rest: str, text: str, links: int
    ) -> Condition:
        name = f"{parameter.name}.{rest}"
        if parameter.type != "reference":
            raise invalid(name, "only a reference can be followed by a chain")
        targets = [
            each
            for each in ([kind] if kind else parameter.targets or ())
            if each in SEARCH_PARAMETERS and self.knows(each, rest)
        ]
        if len(targets) != 1:
            raise invalid(name, "say to which type: for instance subject:Patient.identifier")
        if parameter.targets is not None and targets[0] not in parameter.targets:
            raise invalid(name, f"leads to {', '.join(parameter.targets)}")
        (target,) = targets
        limits = self._within(target)
        wanted = self._condition(target, rest, text, links - 1)
        return RefersTo(parameter.name, target, limits.patients, (*limits.conditions, wanted))

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
        limits = self._within(other)
        wanted = self._condition(other, rest, text, links - 1)
        conditions = (*limits.conditions, wanted)
        return IsReferredTo(other, reference, limits.patients, conditions)


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
