"""Whose image it is: identifiers, issuers, birth dates and orders."""

from dataclasses import replace
from datetime import date
from typing import Any
from uuid import uuid4

import pytest
from pydicom.dataset import Dataset

from support.image_rows import instance
from wardlight_cloud.imaging.entry_person import birth_date_in, name_in
from wardlight_cloud.imaging.matching import Issuers, match
from wardlight_cloud.imaging.orders import OrderedStep, data_set_of, new_entry
from wardlight_cloud.store.imaging import Identified
from wardlight_cloud.store.orders import Order

ONE, TWO = uuid4(), uuid4()
BORN = date(1950, 1, 2)


def _match(
    candidates: list[Identified],
    issuers: Issuers = Issuers(default="s"),  # noqa: B008 - frozen
    order: Order | None = None,
    gateway: str | None = None,
    **columns: str,
) -> tuple[object, str]:
    columns.setdefault("PatientID", "A")
    header = instance(**columns).header  # type: ignore[arg-type]
    issuer = issuers.issuer(header.issuer, gateway)
    return match(header, issuer, candidates, issuers, order, gateway)


def _identified(system: str = "s", patient: object = ONE, born: date | None = None) -> Identified:
    return Identified("A", system, patient, born)  # type: ignore[arg-type]


def _order(patient: object, patient_id: str = "A", issuer: str = "") -> Order:
    return Order("N1", patient, patient_id, issuer, (), ("gw-1",))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("issuers", "issuer", "system", "is_found"),
    [
        (Issuers(), "", "anything", False),
        (Issuers(), "X", "X", True),
        (Issuers(), "x", "X", True),
        (Issuers(), "1.2.3", "urn:oid:1.2.3", True),
        (Issuers(), "X", "Y", False),
        (Issuers(default="http://h"), "", "http://h", True),
        (Issuers(default="http://h"), "", "http://other", False),
        (Issuers(systems={"HOSP": "http://h"}), "HOSP", "http://h", True),
        (Issuers(systems={"HOSP": "http://h"}), "HOSP", "HOSP", False),
        (Issuers("HOSP", {"HOSP": "http://h"}), "", "http://h", True),
        (Issuers("X", gateways={"gw-1": "HOSP"}), "", "HOSP", True),
        (Issuers("X", gateways={"gw-1": "HOSP"}), "", "X", False),
        (Issuers("X", gateways={"gw-2": "HOSP"}), "", "X", True),
        (Issuers("X", gateways={"gw-1": "HOSP"}), "Y", "Y", True),
    ],
)
def test_an_id_belongs_to_its_issuer(
    issuers: Issuers, issuer: str, system: str, is_found: bool
) -> None:
    found = _match([_identified(system)], issuers, gateway="gw-1", IssuerOfPatientID=issuer)
    assert found == ((ONE, "unknown") if is_found else (None, "unknown"))


def test_two_patients_are_ambiguous_and_one_with_two_identifiers_is_not() -> None:
    assert _match([_identified("s"), _identified("S", TWO)]) == (None, "ambiguous")
    assert _match([_identified("s"), _identified("S")]) == (ONE, "unknown")
    assert _match([_identified("s"), _identified("t", TWO)]) == (ONE, "unknown")


def test_a_birth_date_counts_where_both_know_it() -> None:
    known, unknown = [_identified(born=BORN)], [_identified()]
    assert _match(known, PatientBirthDate="19500102") == (ONE, "unknown")
    assert _match(known, PatientBirthDate="19500103") == (None, "birth-date-differs")
    assert _match(known) == (ONE, "unknown")
    assert _match(unknown, PatientBirthDate="19500103") == (ONE, "unknown")


def test_a_birth_date_counts_by_the_order_too() -> None:
    order = replace(_order(ONE, issuer="s"), birth_date=BORN)
    told = {"PatientBirthDate": "19500103"}
    for issuers, gateway in ((Issuers(), "gw-1"), (Issuers(default="s"), None)):
        assert _match([], issuers, order, gateway, **told) == (None, "birth-date-differs")
        for same in ("19500102", ""):
            found = _match([], issuers, order, gateway, PatientBirthDate=same)
            assert found == (ONE, "unknown")
        unknown = replace(order, birth_date=None)
        assert _match([], issuers, unknown, gateway, **told) == (ONE, "unknown")
    # It is nobody's order here, so its patient's birth date says nothing.
    assert _match([], Issuers(), order, "gw-2", **told) == (None, "unknown")


def test_an_order_that_says_another_birth_date_names_nobody() -> None:
    """A number that was given out twice: of the image, the register and the order no two differ."""
    said = OrderedStep("N1", "A^B", "A", "CT", "CT1", "20260101 080000", birth_date="19500102")
    same = new_entry(data_set_of(said), ["gw-1"]).data_set
    other = new_entry(data_set_of(replace(said, birth_date="19800102")), ["gw-1"]).data_set
    none = new_entry(data_set_of(replace(said, birth_date="")), ["gw-1"]).data_set
    by_order = replace(_order(ONE), birth_date=BORN)
    for order, candidates in (
        (by_order, []), (_order(None), [_identified(born=BORN)]), (by_order, [_identified()])
    ):  # fmt: skip
        for data_sets, told, is_found in (
            ((same,), "", True), ((same,), "19500102", True), ((none, b"x"), "19500102", True),
            ((same, none), "", True), ((other,), "", False), ((other,), "19500102", False),
            ((same, other), "19500102", False),
        ):  # fmt: skip
            ordered = replace(order, data_sets=data_sets)
            found = _match(candidates, order=ordered, gateway="gw-1", PatientBirthDate=told)
            assert found == ((ONE, "unknown") if is_found else (None, "birth-date-differs"))
    # Nobody's birth date is in the register: those of image and order are left.
    for told, is_found in (("19800102", True), ("19500102", False), ("", True)):
        ordered = replace(_order(ONE), data_sets=(other,))
        found = _match([_identified()], order=ordered, gateway="gw-1", PatientBirthDate=told)
        assert found == ((ONE, "unknown") if is_found else (None, "birth-date-differs"))


def test_the_birth_date_of_an_entry_is_found_behind_whatever_stands_before_it() -> None:
    """Sequences with and without a length, nested; what is no data set says nothing."""
    said = OrderedStep("N1", "A^B", "A", "CT", "CT1", "20260101 080000", birth_date="19500102")
    entry = data_set_of(said)
    inner, item = Dataset(), Dataset()
    inner.add_new("PatientBirthDate", "DA", "19990909")
    item.ReferencedSOPInstanceUID, item.ReferencedImageSequence = "1.2.3", [inner, Dataset()]
    entry.ReferencedStudySequence = [item, inner]
    for is_undefined in (False, True):
        for sequence in (entry["ReferencedStudySequence"], item["ReferencedImageSequence"]):
            sequence.is_undefined_length = is_undefined
        for each in (item, inner):
            each.is_undefined_length_sequence_item = is_undefined
        octets = new_entry(entry, ["gw-1"]).data_set
        assert (b"\xff\xff\xff\xff" in octets) == is_undefined
        assert birth_date_in(octets) == "19500102"
        for end in range(0, len(octets), 7):
            assert birth_date_in(octets[:end]) in ("", "19500102")
    for nothing in (b"", b"x", bytes(100), b"\xff" * 100, b"\xfe\xff\x00\xe0" * 9000):
        assert birth_date_in(nothing) == ""


def test_nobody_has_no_id() -> None:
    assert _match([_identified()], PatientID="") == (None, "unknown")
    assert _match([]) == (None, "unknown")


def test_an_order_names_the_patient_and_must_agree() -> None:
    assert _match([], order=_order(ONE)) == (ONE, "unknown")
    assert _match([], order=_order(None)) == (None, "unknown")
    assert _match([_identified()], order=_order(ONE)) == (ONE, "unknown")
    assert _match([_identified()], order=_order(None)) == (ONE, "unknown")
    assert _match([_identified()], order=_order(TWO)) == (None, "order-differs")
    assert _match([_identified()], order=_order(ONE, "B")) == (None, "order-differs")
    assert _match([], order=_order(ONE), PatientID="") == (None, "unknown")
    for issuers in (Issuers(), Issuers(default="s")):  # none on both sides is not the same one
        of_none = _order(ONE, "")
        assert _match([], issuers, of_none, "gw-1", PatientID="") == (None, "unknown")
    two = [_identified("s"), _identified("S", TWO)]
    assert _match(two, order=_order(ONE)) == (None, "ambiguous")


@pytest.mark.parametrize(
    ("default", "issuer", "ordered_by", "gateway", "found"),
    [
        (None, "", "", "gw-1", (ONE, "unknown")),  # it was on the list of this gateway
        (None, "", "", "gw-2", (None, "unknown")),  # the same two numbers at another site
        (None, "", "", None, (None, "unknown")),
        (None, "H", "H", None, (ONE, "unknown")),
        (None, "H", "", "gw-2", (None, "unknown")),
        (None, "H", "K", "gw-1", (None, "order-differs")),
        ("H", "", "H", "gw-2", (ONE, "unknown")),
    ],
)
def test_an_order_counts_at_its_site_or_under_its_issuer(
    default: str | None, issuer: str, ordered_by: str, gateway: str | None, found: object
) -> None:
    order = _order(ONE, issuer=ordered_by)
    said = {"IssuerOfPatientID": issuer}
    assert _match([], Issuers(default), order, gateway, **said) == found


def _entry(name: str, birth_date: str = "") -> bytes:
    step = OrderedStep("N1", name, "A", "CT", "CT1", "20260131 101500", birth_date=birth_date)
    return new_entry(data_set_of(step), ["gw-1"]).data_set


@pytest.mark.parametrize(
    "name", ["DOE^JANE", "M\u00fcller^J\u00f6rg", "Yamada^Tarou=\u5c71\u7530^\u592a\u90ce"]
)
def test_the_name_in_an_entry_is_read_in_its_character_set(name: str) -> None:
    assert name_in(_entry(name)) == name
    assert name_in(b"\x10\x00\x10\x00PN\xff\x00a") == ""


@pytest.mark.parametrize(
    ("name", "ordered", "family", "born", "reason"),
    [
        ("DOE^JANE", "", "Almeida", BORN, "order-differs"),
        ("DOE^JANE", "19500102", "Almeida", None, "order-differs"),
        ("DOE^JANE", "19500102", "Almeida", BORN, ""),
        ("ALMEIDA^ROSA", "", "Almeida", BORN, ""),
    ],
)
def test_an_order_of_another_name_under_a_registered_number_objects(
    name: str, ordered: str, family: str, born: date | None, reason: str
) -> None:
    known = replace(_identified(born=born), family=family, given="Rosa")
    order = replace(_order(None), data_sets=(_entry(name, ordered),))
    assert _match([known], order=order) == ((None, reason) if reason else (ONE, "unknown"))
    if ordered and reason:
        told = _match([known], order=order, PatientBirthDate=ordered)
        assert told == (None, reason), "the image and its order are one stranger's"
    # An operator has said whose it is.
    said = replace(order, patient=ONE)
    assert _match([known], order=said) == (ONE, "unknown")


@pytest.mark.parametrize(
    ("told", "born", "is_found"),
    [
        ({}, BORN, True),
        ({"PatientName": "DOE^JANE"}, None, True),
        ({"PatientName": "DOE^JANE", "PatientSex": "M"}, None, True),  # as it was before
        ({"PatientName": "Jane^Doe^^Dr."}, None, True),
        ({"PatientName": "SMITH^JOHN"}, BORN, False),
        ({"PatientName": "SMITH^JOHN", "PatientBirthDate": "19500102"}, None, False),
        ({"PatientName": "SMITH^JOHN", "PatientBirthDate": "19500102"}, BORN, True),
        ({"PatientName": "SMITH^JANE", "PatientBirthDate": "19500102", "PatientSex": "F"},
         BORN, True),
        ({"PatientName": "SMITH^JOHN", "PatientBirthDate": "19500102", "PatientSex": "M"},
         BORN, False),
        ({"PatientName": "SMITH^JO", "PatientBirthDate": "19500102", "PatientSex": "O"},
         BORN, True),
    ],
)  # fmt: skip
def test_another_name_needs_a_birth_date(
    told: dict[str, Any], born: date | None, is_found: bool
) -> None:
    owner = Identified("A", "s", ONE, born, "Doe", "Jane", "female")
    expected = (ONE, "unknown") if is_found else (None, "name-differs")
    assert _match([owner], **told) == expected
    assert _match([owner], order=_order(None), **told) == expected


def test_another_name_is_the_patients_by_an_order_of_this_patient() -> None:
    """Number and accession number agree: it was written wrong."""
    owner = Identified("A", "s", ONE, None, "Doe", "Jane", "female")
    assert _match([owner], order=_order(ONE), PatientName="SMITH^JOHN") == (ONE, "unknown")
    assert _match([owner], order=_order(TWO), PatientName="SMITH^JOHN") == (None, "order-differs")
