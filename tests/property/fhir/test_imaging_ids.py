"""Ids of imaging resources: every UID has one, that leads back to it; nothing else is one."""

import re

from hypothesis import given
from hypothesis import strategies as st

from wardlight_cloud.fhir.imaging_ids import ImagingIds, TextIds

STUDIES, OTHERS = (
    ImagingIds(bytes(range(64)), "ImagingStudy"),
    ImagingIds(bytes(64), "ImagingStudy"),
)
DOCUMENTS = ImagingIds(bytes(range(64)), "DocumentReference")
ORDERS = TextIds(bytes(range(64)), "ServiceRequest")
NUMBERS = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=16)
UIDS = st.text("0123456789.", min_size=1, max_size=64)


@given(UIDS)
def test_an_id_leads_back_to_its_uid(uid: str) -> None:
    identity = STUDIES.id_of(uid)
    assert re.fullmatch(r"[A-Za-z0-9\-.]{1,64}", identity)
    assert STUDIES.uid_of(identity) == uid
    assert STUDIES.id_of(uid) == identity
    assert DOCUMENTS.uid_of(identity) is None
    assert OTHERS.uid_of(identity) is None


@given(UIDS, st.integers(0, 63), st.sampled_from("aZ0-."))
def test_a_changed_id_is_none(uid: str, place: int, character: str) -> None:
    identity = STUDIES.id_of(uid)
    changed = identity[: place % len(identity)] + character + identity[place % len(identity) + 1 :]
    assert changed == identity or STUDIES.uid_of(changed) is None


@given(st.text(max_size=80))
def test_no_text_is_one(text: str) -> None:
    assert STUDIES.uid_of(text) is None


@given(NUMBERS)
def test_an_id_leads_back_to_its_order_number(number: str) -> None:
    identity = ORDERS.id_of(number)
    assert re.fullmatch(r"[A-Za-z0-9\-.]{1,64}", identity)
    assert ORDERS.text_of(identity) == number
    assert STUDIES.uid_of(identity) is None


@given(st.text(min_size=17, max_size=40))
def test_a_number_that_is_too_long_leads_nowhere_else(number: str) -> None:
    assert ORDERS.text_of(ORDERS.id_of(number)) != number


@given(st.text(max_size=80))
def test_no_text_is_one_of_an_order(text: str) -> None:
    assert ORDERS.text_of(text) is None
