"""Names fit one role only."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardlight_cloud.security.roles import Role


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("gw-home-1", Role.GATEWAY),
        ("abc", Role.GATEWAY),
        ("collector", Role.GATEWAY),
        ("collector-1", Role.COLLECTOR),
        ("api-1", Role.API),
    ],
)
def test_a_name_fits_its_role(name: str, role: Role) -> None:
    assert [other for other in Role if other.accepts(name)] == [role]
    role.require(name)


@pytest.mark.parametrize(
    "name",
    ["", "gw", "GW-1", "gw.1", "gw/1", "gw+", "#", "gw 1", "collector-", "api-", 'a"b', "é" * 5],
)
def test_a_malformed_name_fits_none(name: str) -> None:
    for role in Role:
        assert not role.accepts(name)
        with pytest.raises(ValueError, match=f"is no name of a {role.value}"):
            role.require(name)


@given(st.text(alphabet=st.sampled_from("abcdegiloprt1-"), max_size=40))
def test_no_name_fits_two_roles(name: str) -> None:
    assert sum(role.accepts(name) for role in Role) <= 1
