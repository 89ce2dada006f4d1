"""Scopes: read and written without a difference, and narrowed without ever becoming more.

What a permission permits is worked out here a second time, point by point, from the grammar of
SMART App Launch 2.2, so that the product is not its own witness.
"""

from itertools import product
from typing import Final
from urllib.parse import unquote
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from wardlight_cloud.security.access import (
    CONTEXTS,
    Access,
    Interaction,
    Level,
    Permission,
    Reach,
    ScopeError,
    granted,
    permission,
)

KINDS: Final = ("Observation", "Patient", "Device")
SYSTEMS: Final = ("urn:a", "urn:b")
CODES: Final = ("x", "y", "a,b", "100%", "ü z", "?&=#")
PATIENT: Final = UUID(int=7)
LEVELS: Final = frozenset(Level)

interactions = st.frozensets(st.sampled_from(Interaction), min_size=1)
categories = st.frozensets(
    st.tuples(st.sampled_from((None, *SYSTEMS)), st.sampled_from(CODES)), min_size=1, max_size=4
)
plain = st.builds(Permission, st.sampled_from(Level), st.sampled_from(("*", *KINDS)), interactions)
filtered = st.builds(
    Permission, st.sampled_from(Level), st.just("Observation"), interactions, categories
)
permissions = st.one_of(plain, filtered)
Point = tuple[Level, str, Interaction, str, str]
"""Something one can do: at a level, with a kind, an interaction, on a row of (system, code)."""

POINTS: Final[tuple[Point, ...]] = tuple(product(Level, KINDS, Interaction, SYSTEMS, CODES[:3]))


def permits(scope: str, point: Point) -> bool:
    """Whether a scope permits a point: an independent reading of the text."""
    level, kind, interaction, system, code = point
    head, _, query = scope.partition("?")
    named, _, rest = head.partition("/")
    what, _, letters = rest.partition(".")
    letters = {"read": "rs", "write": "cud", "*": "cruds"}.get(letters, letters)
    if named != level.value or what not in ("*", kind) or interaction.value not in letters:
        return False
    if not query:
        return True
    values = [unquote(each) for each in query.removeprefix("category=").split(",")]
    return f"{system}|{code}" in values or code in values


def permitted(scopes: tuple[str, ...] | list[str]) -> set[Point]:
    """All points that some scope permits."""
    return {point for point in POINTS if any(permits(scope, point) for scope in scopes)}


@given(permissions)
def test_what_is_written_reads_as_it_was(made: Permission) -> None:
    text = str(made)
    assert permission(text) == made
    assert str(permission(text)) == text
    assert {point for point in POINTS if permits(text, point)} == {
        point for point in POINTS if _says(made, point)
    }


def _says(made: Permission, point: Point) -> bool:
    level, kind, interaction, system, code = point
    if made.level is not level or not made.covers(kind, interaction):
        return False
    return made.categories is None or bool(made.categories & {(None, code), (system, code)})


@given(st.lists(permissions, max_size=4), st.lists(permissions, max_size=4))
def test_a_grant_is_what_is_asked_for_and_allowed(
    asked: list[Permission], allowed: list[Permission]
) -> None:
    asked_texts, allowed_texts = [str(each) for each in asked], [str(each) for each in allowed]
    made = granted(asked_texts, allowed_texts, LEVELS)
    assert permitted(made) == permitted(asked_texts) & permitted(allowed_texts)
    for level in Level:
        at_one = granted(asked_texts, allowed_texts, frozenset({level}))
        assert all(scope.startswith(f"{level}/") for scope in at_one)


@given(st.lists(permissions, max_size=4), st.sampled_from(KINDS), st.sampled_from(Interaction))
def test_a_reach_never_says_more_than_its_permissions(
    made: list[Permission], kind: str, interaction: Interaction
) -> None:
    for user, patient in product((None, "nurse"), (None, PATIENT)):
        access = Access("app", tuple(made), user, patient)
        reach = access.to(kind, interaction)
        levels = _levels(reach, user)
        for system, code in product(SYSTEMS, CODES[:3]):
            if reach is None or not _reaches(reach, system, code):
                continue
            points = [(level, kind, interaction, system, code) for level in levels]
            assert any(permits(str(each), point) for each in made for point in points)


def _levels(reach: Reach | None, user: str | None) -> list[Level]:
    if reach is not None and reach.patients is not None:
        assert reach.patients == (PATIENT,)
        return [Level.PATIENT]
    return [Level.SYSTEM] if user is None else [Level.SYSTEM, Level.USER]


def _reaches(reach: Reach, system: str, code: str) -> bool:
    return reach.categories is None or bool(reach.categories & {(None, code), (system, code)})


@given(st.text(max_size=60) | st.from_regex(r"(patient|user|system)/.{0,30}", fullmatch=True))
def test_any_text_is_a_scope_or_an_error(text: str) -> None:
    try:
        made = permission(text)
    except ScopeError as error:
        assert str(error)
    else:
        assert permission(str(made)) == made


@given(st.lists(st.text(max_size=30) | st.sampled_from(sorted(CONTEXTS)), max_size=5))
def test_nothing_is_granted_that_was_not_allowed(asked: list[str]) -> None:
    assert granted(asked, (), LEVELS) == ()
    assert set(granted(asked, ("launch", "openid"), LEVELS)) <= {"launch", "openid"}
