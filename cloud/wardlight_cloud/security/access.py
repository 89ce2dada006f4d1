"""What somebody may do with which resources: SMART scopes as Permissions, and what they reach.

    patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|vital-signs
    level   kind        interactions, in the order c r u d s   filter

Version 1 forms are read as well: ``.read`` is rs, ``.write`` is cud, ``.*`` is cruds. A filter is
one by ``category`` on a kind of FILTERED, a list of values joined by commas meaning "one of them";
whoever asks for another one gets ScopeError, and a token goes without that scope rather than
without its filter.

Access.to(kind, interaction) is a Reach, or None: not permitted. A Reach never says more than the
permissions it is made of.

Errors  ScopeError (a ValueError), with a sentence for people
Source  SMART App Launch 2.2, Scopes and Launch Context; RFC 6749 3.3 (characters of a scope)
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum, StrEnum
from typing import Final
from urllib.parse import quote, unquote
from uuid import UUID

ANY: Final = "*"
FILTERED: Final = frozenset({"Observation"})
"""Kinds that can be held to categories."""

NAMED_ONLY: Final = frozenset({"AuditEvent"})
"""Kinds that ``*`` does not mean: who may read who read what is said by name."""

Category = tuple[str | None, str]
"""(system, code); system None = of any."""

_SCOPE: Final = re.compile(
    r"(?P<level>patient|user|system)/(?P<kind>[A-Z][A-Za-z]{1,63}|\*)"
    r"\.(?P<what>read|write|\*|(?=[cruds])c?r?u?d?s?)(\?(?P<filter>.*))?"
)
_CHARACTERS: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,1024}")
_VERSION_1: Final = {"read": "rs", "write": "cud", "*": "cruds"}
_UNQUOTED: Final = ":/|"
_CATEGORIES_MAX: Final = 32


class ScopeError(ValueError):
    """A scope that cannot be read, or that nobody could be held to."""


class Level(StrEnum):
    """Whose resources: of the patient in context, of the user, of all."""

    PATIENT = "patient"
    USER = "user"
    SYSTEM = "system"


class Interaction(StrEnum):
    """What can be done, in the order in which a scope lists it."""

    CREATE = "c"
    READ = "r"
    UPDATE = "u"
    DELETE = "d"
    SEARCH = "s"


class Context(Enum):
    """Scopes that ask for something else than resources."""

    LAUNCH = "launch"
    LAUNCH_PATIENT = "launch/patient"
    OPENID = "openid"
    FHIR_USER = "fhirUser"
    OFFLINE = "offline_access"
    ONLINE = "online_access"


CONTEXTS: Final = frozenset(each.value for each in Context)


@dataclass(frozen=True, slots=True)
class Permission:
    """Interactions with a kind of resource. ``categories`` None = of any category."""

    level: Level
    kind: str
    interactions: frozenset[Interaction]
    categories: frozenset[Category] | None = None

    def __str__(self) -> str:
        letters = "".join(each for each in Interaction if each in self.interactions)
        text = f"{self.level}/{self.kind}.{letters}"
        if self.categories is None:
            return text
        values = sorted(_category_text(each) for each in self.categories)
        return f"{text}?category={','.join(values)}"

    def covers(self, kind: str, interaction: Interaction) -> bool:
        """Whether it is about this interaction with this kind, with all or with some of them."""
        is_meant = self.kind == kind or (self.kind == ANY and kind not in NAMED_ONLY)
        return is_meant and interaction in self.interactions

    def meet(self, other: "Permission") -> "Permission | None":
        """What both permit."""
        interactions = self.interactions & other.interactions
        if self.level is not other.level or not interactions:
            return None
        if ANY not in (self.kind, other.kind) and self.kind != other.kind:
            return None
        if self.kind != other.kind and not NAMED_ONLY.isdisjoint((self.kind, other.kind)):
            return None
        kind = other.kind if self.kind == ANY else self.kind
        categories = _both(self.categories, other.categories)
        if categories is not None and not categories:
            return None
        return Permission(self.level, kind, interactions, categories)

    def includes(self, other: "Permission") -> bool:
        """Whether all that the other permits is permitted by this one."""
        return self.meet(other) == other


@dataclass(frozen=True, slots=True)
class Reach:
    """Which resources of a kind. None = all; what is not in reach is as if it did not exist."""

    patients: tuple[UUID, ...] | None
    categories: frozenset[Category] | None = None

    def sees(self, patient: UUID | None) -> bool:
        """Whether a resource of this patient (None = of nobody) is in reach."""
        return self.patients is None or patient in self.patients

    def among(self, asked: Iterable[UUID] | None) -> tuple[UUID, ...] | None:
        """Those of the patients asked for (None = any) that are in reach; None = all there are."""
        if asked is None or self.patients is None:
            return self.patients if asked is None else tuple(asked)
        return tuple(each for each in asked if each in self.patients)


@dataclass(frozen=True, slots=True)
class Access:
    """Who asks, and with which permissions: a client, for a user and about a patient if any."""

    client: str
    permissions: tuple[Permission, ...]
    user: str | None = None
    patient: UUID | None = None

    def to(self, kind: str, interaction: Interaction) -> Reach | None:
        """What an interaction with a kind reaches; None = it is not permitted.

        Where one permission is for all patients in some categories, and another for one patient,
        the one for the patient counts: a Reach cannot say both, and must not say more.
        """
        found = [each for each in self.permissions if each.covers(kind, interaction)]
        wide = [each for each in found if self._is_wide(each)]
        own = [each for each in found if each.level is Level.PATIENT and self.patient is not None]
        if wide and (not own or _categories_of(wide) is None):
            return Reach(None, _categories_of(wide))
        if own and self.patient is not None:
            return Reach((self.patient,), _categories_of(own))
        return None

    def _is_wide(self, permission: Permission) -> bool:
        if permission.level is Level.SYSTEM:
            return True
        return permission.level is Level.USER and self.user is not None


def permission(scope: str) -> Permission:
    """Read a scope for resources."""
    if _CHARACTERS.fullmatch(scope) is None:
        raise ScopeError('a scope has 1 to 1024 printable ASCII characters, without " and \\')
    found = _SCOPE.fullmatch(scope)
    if found is None:
        raise ScopeError(
            f"{scope}: not a scope; write it as system/Observation.rs, with c, r, u, d, s in this "
            "order"
        )
    letters = _VERSION_1.get(found["what"], found["what"])
    made = Permission(
        Level(found["level"]), found["kind"], frozenset(Interaction(each) for each in letters)
    )
    return made if found["filter"] is None else _filtered(made, found["filter"], scope)


def permissions(scopes: Iterable[str]) -> tuple[Permission, ...]:
    """Permissions of scopes, those that are none left out."""
    found = []
    for scope in scopes:
        try:
            found.append(permission(scope))
        except ScopeError:
            continue
    return tuple(found)


def granted(
    requested: Iterable[str], allowed: Iterable[str], levels: frozenset[Level]
) -> tuple[str, ...]:
    """Scopes for a token: what is asked for, as far as it is allowed, at these levels.

    A scope that is allowed as a whole keeps the spelling it was asked for with.
    """
    allowed = tuple(allowed)
    limits = [each for each in permissions(allowed) if each.level in levels]
    made: dict[str, None] = {}
    for scope in requested:
        if scope in CONTEXTS:
            made |= dict.fromkeys([scope] if scope in allowed else [])
            continue
        for asked in permissions([scope]):
            parts = [part for limit in limits if (part := asked.meet(limit)) is not None]
            made |= dict.fromkeys([scope] if asked in parts else map(str, _widest(parts)))
    return tuple(made)


def _widest(parts: list[Permission]) -> list[Permission]:
    """Those that no other one includes."""
    kept: list[Permission] = []
    for part in parts:
        if not any(other.includes(part) for other in kept):
            kept = [*(other for other in kept if not part.includes(other)), part]
    return kept


def _filtered(made: Permission, text: str, scope: str) -> Permission:
    name, equals, values = text.partition("=")
    if made.kind not in FILTERED or name != "category" or not equals or "&" in values:
        raise ScopeError(
            f"{scope}: this server can hold nobody to the filter; it knows one filter "
            f"?category=system|code for {', '.join(sorted(FILTERED))}"
        )
    categories = frozenset(_category(value, scope) for value in values.split(","))
    if len(categories) > _CATEGORIES_MAX:
        raise ScopeError(f"{scope}: more than {_CATEGORIES_MAX} categories")
    return replace(made, categories=categories)


def _category(text: str, scope: str) -> Category:
    try:
        value = unquote(text, errors="strict")
    except UnicodeDecodeError:
        value = ""
    system, bar, code = value.partition("|")
    if not bar:
        system, code = "", system
    if not code or "|" in code or not value.isprintable() or (bar and not system):
        raise ScopeError(f"{scope}: write a category as system|code, or as a code alone")
    return (system or None, code)


def _category_text(category: Category) -> str:
    system, code = category
    return quote(code if system is None else f"{system}|{code}", safe=_UNQUOTED)


def _both(
    left: frozenset[Category] | None, right: frozenset[Category] | None
) -> frozenset[Category] | None:
    """Categories that are in both; a code without a system is that code of any system."""
    if left is None or right is None:
        return right if left is None else left
    met = set()
    for system, code in left:
        for other, same in right:
            if code == same and (None in (system, other) or system == other):
                met.add((system if other is None else other, code))
    return frozenset(met)


def _categories_of(permissions: Iterable[Permission]) -> frozenset[Category] | None:
    """Categories of all of them together."""
    found: set[Category] = set()
    for each in permissions:
        if each.categories is None:
            return None
        found |= each.categories
    return frozenset(found)
