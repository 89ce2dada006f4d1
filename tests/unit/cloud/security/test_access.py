"""Scopes as SMART App Launch 2.2 writes them, and what is left out of a token."""

from uuid import UUID

import pytest

from wardlight_cloud.security.access import (
    Access,
    Interaction,
    Level,
    Reach,
    ScopeError,
    granted,
    permission,
    permissions,
)

ANNA, BERT = UUID(int=1), UUID(int=2)
VITALS = "http://terminology.hl7.org/CodeSystem/observation-category|vital-signs"
LABORATORY = "http://terminology.hl7.org/CodeSystem/observation-category|laboratory"
APP = frozenset({Level.PATIENT, Level.USER})


@pytest.mark.parametrize(
    ("scope", "written"),
    [
        ("patient/Observation.rs", "patient/Observation.rs"),
        ("user/*.cruds", "user/*.cruds"),
        ("system/Patient.s", "system/Patient.s"),
        ("patient/Observation.read", "patient/Observation.rs"),
        ("patient/Observation.write", "patient/Observation.cud"),
        ("patient/*.*", "patient/*.cruds"),
        (f"patient/Observation.rs?category={VITALS}", f"patient/Observation.rs?category={VITALS}"),
        (
            f"patient/Observation.rs?category={VITALS.replace('|', '%7C')}",
            f"patient/Observation.rs?category={VITALS}",
        ),
    ],
)
def test_scopes_of_the_guide(scope: str, written: str) -> None:
    assert str(permission(scope)) == written


@pytest.mark.parametrize(
    "scope",
    [
        "", "patient/Observation", "patient/Observation.", "patient/Observation.sr",
        "patient/Observation.rr", "patient/observation.rs", "Patient/Observation.rs",
        "practitioner/Observation.rs", "patient/Observation.rs extra", "patient/Observation.RS",
        "patient/Observation.rs?", "patient/Observation.rs?category=", "patient/*.rs?category=x",
        "patient/Observation.rs?category=a|b|c", "patient/Observation.rs?category=|x",
        "patient/Observation.rs?category=x&category=y", "patient/Observation.rs?status=final",
        "patient/Observation.rs?category=%00", "patient/Observation.rs?category=%FF",
        f"patient/Patient.rs?category={VITALS}", "patient/Observation.rs?category=x,,y",
        "launch/patient", "system/*.rs\n",
    ],
)  # fmt: skip
def test_what_is_no_scope_or_cannot_be_enforced(scope: str) -> None:
    with pytest.raises(ScopeError):
        permission(scope)
    assert permissions([scope]) == ()
    assert granted([scope], [scope, "patient/*.cruds", "system/*.cruds"], frozenset(Level)) in (
        (), (scope,) * (scope == "launch/patient"),
    )  # fmt: skip


def test_a_grant_keeps_the_spelling_or_says_what_is_left() -> None:
    assert granted(["patient/*.read"], ["patient/*.cruds"], APP) == ("patient/*.read",)
    assert granted(["patient/*.cruds"], ["patient/Observation.rs", "launch"], APP) == (
        "patient/Observation.rs",
    )
    only = [f"patient/Observation.rs?category={VITALS},{LABORATORY}"]
    asked = ["patient/Observation.cruds?category=laboratory"]
    assert granted(asked, only, APP) == (f"patient/Observation.rs?category={LABORATORY}",)
    assert granted(["system/*.rs"], ["system/*.rs"], APP) == ()
    assert granted(["launch", "openid"], ["openid"], APP) == ("openid",)


def test_who_reaches_what() -> None:
    scopes = [
        "system/Device.rs", "user/Patient.s", f"patient/Observation.rs?category={VITALS}",
        "patient/Patient.r",
    ]  # fmt: skip
    everything = Access("app", permissions(scopes), "nurse", ANNA)
    category = frozenset({tuple(VITALS.split("|"))})
    assert everything.to("Device", Interaction.READ) == Reach(None)
    assert everything.to("Device", Interaction.UPDATE) is None
    assert everything.to("Patient", Interaction.SEARCH) == Reach(None)
    assert everything.to("Patient", Interaction.READ) == Reach((ANNA,))
    assert everything.to("Observation", Interaction.READ) == Reach((ANNA,), category)  # type: ignore[arg-type]
    assert everything.to("ImagingStudy", Interaction.READ) is None
    nobody = Access("app", permissions(scopes))
    assert nobody.to("Patient", Interaction.SEARCH) is None, "user scopes need a user"
    assert nobody.to("Observation", Interaction.READ) is None, "patient scopes need a patient"


def test_a_filter_for_all_does_not_widen_what_is_for_one_patient() -> None:
    scopes = ["user/Observation.rs?category=laboratory", "patient/Observation.rs"]
    access = Access("app", permissions(scopes), "nurse", ANNA)
    assert access.to("Observation", Interaction.READ) == Reach((ANNA,))


def test_a_reach_tells_what_is_seen() -> None:
    own, everything = Reach((ANNA,)), Reach(None)
    assert own.sees(ANNA) and not own.sees(BERT) and not own.sees(None)
    assert everything.sees(BERT) and everything.sees(None)
    assert own.among(None) == (ANNA,)
    assert own.among([BERT]) == ()
    assert own.among([BERT, ANNA]) == (ANNA,)
    assert everything.among(None) is None
    assert everything.among([BERT]) == (BERT,)


def test_who_read_what_is_read_by_name_alone() -> None:
    """``*`` is no scope for the audit trail, neither in use nor to be narrowed to it."""
    wide, named = permission("system/*.cruds"), permission("system/AuditEvent.rs")
    assert Access("ehr", (wide,)).to("AuditEvent", Interaction.SEARCH) is None
    assert Access("ehr", (named,)).to("AuditEvent", Interaction.SEARCH) == Reach(None)
    assert not wide.includes(named)
    assert granted(["system/AuditEvent.rs"], ["system/*.cruds"], frozenset(Level)) == ()
    both = ["system/*.cruds", "system/AuditEvent.rs"]
    assert granted(["system/AuditEvent.rs"], both, frozenset(Level)) == ("system/AuditEvent.rs",)
