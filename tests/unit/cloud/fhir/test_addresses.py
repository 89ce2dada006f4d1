"""Whose a literal reference is: ours, however it is written, or another server's."""

import pytest

from wardlight_cloud.fhir.addresses import id_of_reference, local_reference, with_local_references

BASE = "https://wards.example/fhir"
ID = "0b8f4f5e-6f0a-4a3b-9d3e-7f1f6f0c2a11"
OURS = f"Patient/{ID}"


@pytest.mark.parametrize(
    "text",
    [
        OURS, f"{BASE}/{OURS}", f"{BASE}/{OURS}/_history/7", f"HTTPS://Wards.Example/fhir/{OURS}",
        f"https://wards.example:443/fhir/{OURS}", f"https://wards.example/fhir//{OURS}",
    ],
)  # fmt: skip
def test_our_own_is_relative(text: str) -> None:
    assert local_reference(text, BASE) == OURS


@pytest.mark.parametrize(
    "text",
    [
        f"https://other.example/fhir/{OURS}", f"http://wards.example/fhir/{OURS}",
        f"https://wards.example:8443/fhir/{OURS}", f"https://wards.example/FHIR/{OURS}",
        f"https://wards.example/fhir/other/{OURS}", f"https://a@wards.example/fhir/{OURS}",
        f"https://wards.example.other/fhir/{OURS}", f"https://wards.example/fhir?x=/{OURS}",
        f"https://wards.example:port/fhir/{OURS}", f"ftp://wards.example/fhir/{OURS}",
        f"//wards.example/fhir/{OURS}", f"urn:uuid:{ID}", f"/{OURS}", f"{OURS}/", ID, "",
    ],
)  # fmt: skip
def test_any_other_one_is_not(text: str) -> None:
    assert local_reference(text, BASE) is None


def test_of_a_search_references_alone_are_made_relative() -> None:
    other = f"https://other.example/fhir/{OURS}"
    given = [
        ("patient", f"{BASE}/{OURS},{other}"), ("subject:Patient", f"{BASE}/{OURS}"),
        ("url", f"{BASE}/Questionnaire/1"), ("patient.identifier", f"{BASE}/{OURS}"),
    ]  # fmt: skip
    assert with_local_references(given, BASE) == [
        ("patient", f"{OURS},{other}"), ("subject:Patient", OURS), *given[2:],
    ]  # fmt: skip


def test_ids_of_references() -> None:
    assert id_of_reference("x-1", "Endpoint") == "x-1"
    assert id_of_reference("Endpoint/x-1", "Endpoint") == "x-1"
    assert id_of_reference("Device/x-1", "Endpoint") is None
    assert id_of_reference("https://other.example/Endpoint/x-1", "Endpoint") is None
