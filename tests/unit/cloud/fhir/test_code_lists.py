"""Lists of codes: bounded before they are looked up, and looked up in a table."""

from collections.abc import Sequence

import pytest

from wardlight_cloud.fhir import search_narrowing, search_quantities, vocabulary
from wardlight_cloud.fhir.outcome import FhirError
from wardlight_cloud.fhir.own import device_metric
from wardlight_cloud.fhir.own.asked import Asked
from wardlight_cloud.fhir.parameters import token
from wardlight_cloud.fhir.search import observation_search
from wardlight_cloud.fhir.search_quantities import Quantities
from wardlight_cloud.fhir.vocabulary import (
    CATEGORY,
    MEASURED,
    PHD_CATEGORY,
    code_of,
    is_amount,
    measured_by_category,
    measured_by_code,
)


@pytest.mark.parametrize("name", ["code", "combo-code:not", "category", "status", "_profile"])
def test_a_list_that_is_too_long_is_refused_before_it_is_looked_up(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up: list[str] = []

    def counted(*_: object, **__: object) -> frozenset[tuple[int, str]]:
        looked_up.append(name)
        return frozenset()

    monkeypatch.setattr(search_narrowing, "measured_by_code", counted)
    monkeypatch.setattr(search_narrowing, "measured_by_category", counted)
    monkeypatch.setattr(search_narrowing, "profiles_of", counted)
    for text in (",".join(f"{n}" for n in range(201)), ",".join(f"a\\,{n}" for n in range(201))):
        with pytest.raises(FhirError, match="more than 200 values"):
            observation_search([(name, text)], strict=False)
    assert not looked_up
    observation_search([(name, ",".join(f"a\\,{n}" for n in range(200)))], strict=False)


def test_codes_are_looked_up_in_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request may ask for thousands of them: no one goes through all that can be measured."""
    made: list[object] = []
    monkeypatch.setattr(vocabulary, "code_of", lambda *_, **__: made.append(1))
    monkeypatch.setattr(device_metric, "code_of", lambda *_, **__: made.append(1))
    texts = [("code", ",".join(f"{n}" for n in range(at, at + 200))) for at in range(0, 9000, 200)]
    observation_search(texts, strict=False)
    for text in ("8867-4", "http://loinc.org|", "149530"):
        assert vocabulary.measured_by_code(*token(text))
    device_metric._metrics(Asked((("type", ",".join(f"{n}" for n in range(11_000))),)))
    assert not made


def test_any_code_or_category_is_of_its_system_or_of_any() -> None:
    assert measured_by_code(None, "") == measured_by_category(None, "") == frozenset(MEASURED)
    for measured, metric in MEASURED.items():
        moles = is_amount(measured[1])
        for each in code_of(metric, moles=moles)["coding"]:
            for asked in (
                (each["system"], each["code"]),
                (None, each["code"]),
                (each["system"], ""),
            ):
                assert measured in measured_by_code(*asked)
            assert not measured_by_code("", each["code"])
        assert measured in measured_by_category(CATEGORY, metric.category)
        assert (measured in measured_by_category(PHD_CATEGORY, "phd")) == (metric.mdc is not None)
    assert not measured_by_code("http://loinc.org", "149530")


@pytest.mark.parametrize("name", ["value-quantity", "combo-code-value-quantity"])
def test_quantities_are_bounded_over_all_parameters(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of them is brought into the units of all readings."""
    read: list[object] = []
    plainly = search_quantities.quantities

    def counted(parameter: str, values: Sequence[str]) -> Quantities:
        read.extend(values)
        return plainly(parameter, values)

    monkeypatch.setattr(search_narrowing, "quantities", counted)
    value = "8867-4$gt7" if "code" in name else "gt7"
    with pytest.raises(FhirError, match="more than 200 values"):
        observation_search([(name, ",".join([value] * 50))] * 5, strict=False)
    assert not read
    observation_search([(name, ",".join([value] * 50))] * 4, strict=False)
    assert len(read) == 200
