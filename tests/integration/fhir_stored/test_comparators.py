"""A quantity with a comparator is a range: "< 72" is found as what lies below 72, and not as 72."""

import httpx
import pytest

from support.stored_resources import created, found, observation

UCUM = "http://unitsofmeasure.org"
SEARCHES = (
    ("<", "lt72 le72 gt70 ne72 eb72 lt20", "eq72 gt72 ge72 sa72"),
    ("<=", "lt72 le72 gt70 eb72", "eq72 gt72 sa72"),
    (">", "gt72 ge72 lt80 ne72 sa72 gt500", "eq72 lt72 le72 eb72"),
    (">=", "gt72 ge72 lt80 sa72", "eq72 lt72 eb72"),
    (None, "eq72 ge72 le72 gt70 lt80", "lt72 gt72 ne72 lt20 gt500"),
)


@pytest.mark.parametrize(("comparator", "finding", "others"), SEARCHES)
async def test_it_is_found_by_its_range(
    client: httpx.AsyncClient, comparator: str | None, finding: str, others: str
) -> None:
    value = {"value": 72, "unit": "/min", "system": UCUM, "code": "/min"}
    if comparator is not None:
        value["comparator"] = comparator
    made = (await created(client, observation(valueQuantity=value)))["id"]
    wrong = {}
    for form in (
        "value-quantity={}", f"value-quantity={{}}|{UCUM}|/min", f"value-quantity={{}}|{UCUM}|/s",
        "combo-value-quantity={}", "code-value-quantity=8867-4${}",
        "combo-code-value-quantity=8867-4${}",
    ):  # fmt: skip
        for text, wanted in ((finding, [made]), (others, [])):
            for each in text.split():
                # 72 a minute is 1.2 a second
                number = f"{each[:2]}{float(each[2:]) / 60:g}" if form.endswith("/s") else each
                if each in ("eq72", "ne72") and form.endswith("/s"):
                    continue  # 1.2 is less exact
                search = form.format(number)
                if await found(client, f"Observation?{search}") != wanted:
                    wrong[search] = wanted
    assert not wrong
