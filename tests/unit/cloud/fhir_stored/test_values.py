"""Pure parts of stored resources: dates, units, paths, tokens, numbers, JSON, patches."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardlight_cloud.fhir.addresses import local_reference
from wardlight_cloud.fhir.outcome import FhirError
from wardlight_cloud.fhir.stored import body, json_patch
from wardlight_cloud.fhir.stored.body import DEEPEST, dumped, parsed, stored_text, whole
from wardlight_cloud.fhir.stored.elements import elements
from wardlight_cloud.fhir.stored.index_values import folded, indexed_text
from wardlight_cloud.fhir.stored.json_patch import patched
from wardlight_cloud.fhir.stored.moments import at, interval
from wardlight_cloud.fhir.stored.search_values import number_interval, quantity_matches
from wardlight_cloud.store.resources import ResourceRow

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=12,
)


def _us(*moment: int) -> Decimal:
    return at(datetime(*moment, tzinfo=UTC))  # type: ignore[arg-type,misc]


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("2024", (2024, 1, 1), (2025, 1, 1)), ("2024-02", (2024, 2, 1), (2024, 3, 1)),
        ("2024-12", (2024, 12, 1), (2025, 1, 1)), ("2024-02-29", (2024, 2, 29), (2024, 3, 1)),
        ("2024-02-29T10:00", (2024, 2, 29, 10), (2024, 2, 29, 10, 1)),
        ("2024-02-29T10:00:00Z", (2024, 2, 29, 10), (2024, 2, 29, 10, 0, 1)),
        ("2024-02-29T10:00:00+02:00", (2024, 2, 29, 8), (2024, 2, 29, 8, 0, 1)),
        ("2024-02-29T10:00:00-02:30", (2024, 2, 29, 12, 30), (2024, 2, 29, 12, 30, 1)),
        ("2024-02-29T10:00:00.5Z", (2024, 2, 29, 10, 0, 0, 500000),
         (2024, 2, 29, 10, 0, 0, 600000)),
        ("2016-12-31T23:59:60Z", (2016, 12, 31, 23, 59, 59), (2017, 1, 1)),
        ("2023-02", (2023, 2, 1), (2023, 3, 1)),
    ],
)  # fmt: skip
def test_intervals(text: str, low: tuple[int, ...], high: tuple[int, ...]) -> None:
    assert interval(text) == (_us(*low), _us(*high))


@pytest.mark.parametrize(
    "text", ["", "24", "2024-13", "2023-02-29", "2024-01-01T25:00", "2024-01-01T10:00:00+02:99"]
)
def test_what_is_no_date(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a date|60 minutes"):
        interval(text)


@pytest.mark.parametrize(
    ("text", "length_us"),
    [
        ("9999", 365 * 86_400_000_000), ("9999-12", 31 * 86_400_000_000),
        ("9999-12-31", 86_400_000_000), ("9999-12-31T23:59:60-14:00", 1_000_000),
        ("0001-01-01T00:00:00+14:00", 1_000_000),
    ],
)  # fmt: skip
def test_the_ends_of_the_calendar(text: str, length_us: int) -> None:
    low, high = interval(text)
    assert high - low == length_us


@given(
    st.from_regex(
        r"(0001|9999|[12][0-9]{3})(-(0[1-9]|1[0-2])(-(0[1-9]|1[0-9]|2[0-8]))?)?", fullmatch=True
    )
)
def test_every_day_and_month_is_a_date(text: str) -> None:
    low, high = interval(text)
    assert low < high


@given(st.text(max_size=30))
def test_any_text_is_a_date_or_an_error(text: str) -> None:
    try:
        low, high = interval(text)
    except ValueError:
        return
    assert low < high


def test_numbers_are_as_exact_as_they_are_written() -> None:
    """R4 3.1.1.4.6: 100 is 99.5 to 100.5, 100.00 is 99.995 to 100.005, 1e2 is 50 to 150."""
    assert number_interval("n", "eq", "100") == (Decimal("99.5"), Decimal("100.5"))
    assert number_interval("n", "eq", "100.00") == (Decimal("99.995"), Decimal("100.005"))
    assert number_interval("n", "eq", "1e2") == (Decimal(50), Decimal(150))
    assert number_interval("n", "gt", "5.4") == (Decimal("5.4"), Decimal("5.4"))
    for text in ("", "x", "1e999", "--1", "٣", "1" * 50, "NaN"):
        with pytest.raises(FhirError):
            number_interval("n", "eq", text)


def test_units_are_converted() -> None:
    """5.4 mg are 0.0054 g, whatever it is asked in (R4's example of value-quantity)."""
    ucum = "http://unitsofmeasure.org"
    (mine,) = quantity_matches("q", f"5.4|{ucum}|mg")
    (theirs,) = quantity_matches("q", f"0.0054|{ucum}|g")
    assert (mine.low, mine.unit) == (theirs.low, theirs.unit)
    (warm,) = quantity_matches("q", f"gt98.6|{ucum}|[degF]")
    assert (warm.low, warm.unit) == (Decimal("310.15"), "=K")


def test_paths() -> None:
    resource = {
        "name": [{"given": ["A", "B"]}, {"given": ["C"]}, "nonsense"],
        "telecom": [{"system": "phone", "value": "1"}, {"system": "email", "value": "2"}],
        "valueQuantity": {"value": 1}, "values": 3, "deceasedBoolean": False, "gone": None,
    }  # fmt: skip
    assert elements(resource, "name.given") == ["A", "B", "C"]
    assert elements(resource, "telecom[system=email]") == [{"system": "email", "value": "2"}]
    assert elements(resource, "value[x]") == [{"value": 1}]
    assert elements(resource, "deceased[x].exists()") == [False]
    assert elements({"deceasedDateTime": "2020"}, "deceased[x].exists()") == [True]
    assert elements(resource, "gone") == elements(resource, "name.given.x") == []


def test_strings_are_folded_as_the_database_folds_names() -> None:
    assert folded("  Ångström\tÉVA ") == "angstrom eva"
    assert len(indexed_text("x" * 5000)) < 200 and indexed_text("x" * 200) == "x" * 200


def test_references() -> None:
    base = "https://own.example/fhir"
    assert local_reference("Task/1/_history/2", base) == "Task/1"
    assert local_reference(f"{base}/Task/1", base) == "Task/1"
    for text in ("https://other.example/fhir/Task/1", "#a", "urn:uuid:1", "Task/", "Task/a b"):
        assert local_reference(text, base) is None


@given(JSON)
def test_json_comes_back(value: Any) -> None:
    assert parsed(dumped(value)) == value


@pytest.mark.parametrize("number", ["36.50", "0.0", "-1.10", "1E+2", "72"])
def test_numbers_keep_their_digits(number: str) -> None:
    assert dumped(parsed(f'{{"value":{number}}}'.encode())) == f'{{"value":{number}}}'.encode()


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"{]", b"\xff", b'{"a":1,"a":2}', b'"\\ud800"', b'"\\u0000"', b"NaN",
        b"-Infinity",
        b"[" * (DEEPEST + 2) + b"]" * (DEEPEST + 2), b"[" * 100_000, b"1" * 5000,
        b"0." + b"1" * 5000,
    ],
)  # fmt: skip
def test_what_is_no_json(body: bytes) -> None:
    with pytest.raises(FhirError) as caught:
        parsed(body)
    assert caught.value.status == 400


@pytest.mark.parametrize("meta", [{}, {"tag": [{"code": "x"}]}])
@pytest.mark.parametrize("rest", [{}, {"name": "x"}])
def test_bodies_are_made_whole(meta: dict[str, Any], rest: dict[str, Any]) -> None:
    resource = {"resourceType": "Task", "id": "a", "meta": {"versionId": "9", **meta}, **rest}
    body = stored_text(resource)
    row = ResourceRow(1, "Task", "a", 7, datetime(2026, 1, 2, tzinfo=UTC), body, ())
    made = json.loads(whole(row))
    assert made.pop("meta") == {
        "versionId": "7", "lastUpdated": "2026-01-02T00:00:00.000Z", **meta,
    }  # fmt: skip
    assert made == {"resourceType": "Task", "id": "a", **rest}


# RFC 6902, appendix A
@pytest.mark.parametrize(
    ("document", "patch", "result"),
    [
        ({"foo": "bar"}, [{"op": "add", "path": "/baz", "value": "q"}], {"foo": "bar", "baz": "q"}),
        ({"foo": ["bar", "baz"]}, [{"op": "add", "path": "/foo/1", "value": "q"}],
         {"foo": ["bar", "q", "baz"]}),
        ({"baz": "q", "foo": "bar"}, [{"op": "remove", "path": "/baz"}], {"foo": "bar"}),
        ({"foo": ["a", "b", "c"]}, [{"op": "remove", "path": "/foo/1"}], {"foo": ["a", "c"]}),
        ({"baz": "q"}, [{"op": "replace", "path": "/baz", "value": "boo"}], {"baz": "boo"}),
        ({"foo": {"bar": "baz", "w": "f"}, "q": {"c": "g"}},
         [{"op": "move", "from": "/foo/w", "path": "/q/t"}],
         {"foo": {"bar": "baz"}, "q": {"c": "g", "t": "f"}}),
        ({"foo": ["all", "grass", "cows", "eat"]},
         [{"op": "move", "from": "/foo/1", "path": "/foo/3"}],
         {"foo": ["all", "cows", "eat", "grass"]}),
        ({"foo": ["bar"]}, [{"op": "add", "path": "/foo/-", "value": ["abc"]}],
         {"foo": ["bar", ["abc"]]}),
        ({"/": 9, "~1": 10}, [{"op": "test", "path": "/~01", "value": 10}], {"/": 9, "~1": 10}),
        ({"a": 1}, [{"op": "copy", "from": "/a", "path": "/b"}], {"a": 1, "b": 1}),
    ],
)  # fmt: skip
def test_patches(document: Any, patch: Any, result: Any) -> None:
    before = json.dumps(document)
    assert patched(document, patch) == result
    assert json.dumps(document) == before


@pytest.mark.parametrize(
    ("patch", "status"),
    [
        ({}, 400), ([{}], 400), ([{"op": "spam", "path": ""}], 400), ([{"op": "add"}], 400),
        ([{"op": "add", "path": "/a"}], 400), ([{"op": "add", "path": "a", "value": 1}], 400),
        ([{"op": "remove", "path": "/none"}], 422), ([{"op": "remove", "path": ""}], 422),
        ([{"op": "test", "path": "/foo", "value": "1"}], 422),
        ([{"op": "test", "path": "/foo", "value": True}], 422),
        ([{"op": "add", "path": "/list/9", "value": 1}], 422),
        ([{"op": "add", "path": "/list/01", "value": 1}], 422),
        ([{"op": "move", "from": "/list", "path": "/list/0"}], 422),
        ([{"op": "remove", "path": "/foo"}] * 1001, 400),
    ],
)  # fmt: skip
def test_patches_that_do_not_fit(patch: Any, status: int) -> None:
    with pytest.raises(FhirError) as caught:
        patched({"foo": 1, "list": [1]}, patch)
    assert caught.value.status == status


@given(JSON, JSON)
def test_any_patch_fits_or_is_refused(document: Any, patch: Any) -> None:
    try:
        patched(document, patch)
    except FhirError as error:
        assert error.status in (400, 422)


def test_a_patch_that_doubles_is_refused_before_it_is_large(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each copy of a list into itself doubles it: 1,000 of them would never end."""
    copied, plainly = 0, json_patch._copied

    def counted(value: Any) -> Any:
        nonlocal copied
        copied += 1
        return plainly(value)

    monkeypatch.setattr(json_patch, "_copied", counted)  # and what it calls for each part
    doubling = {"op": "copy", "from": "/note", "path": "/note/-"}
    wide = {"op": "copy", "from": "/note/0", "path": "/note/-"}
    start = {"op": "add", "path": "/note", "value": [{"text": "a" * 100}]}
    for more in (doubling, {**doubling, "path": "/note/0"}):
        with pytest.raises(FhirError) as caught:
            patched({}, [start, *[more] * 100])
        assert caught.value.status in (413, 422)
    with pytest.raises(FhirError) as caught:
        patched({}, [start, *[wide] * 12, {**doubling, "from": "/note", "path": "/other"},
                     *[{"op": "copy", "from": "/other", "path": f"/other/{n}/x"}
                       for n in range(900)]])  # fmt: skip
    assert caught.value.status == 413
    assert copied < json_patch.LARGEST


def test_a_resource_cannot_grow_by_patch_after_patch() -> None:
    document: Any = {"a": ["x" * 1000] * 500}
    patch = [{"op": "copy", "from": "/a", "path": "/b"}]
    document = patched(document, patch)
    with pytest.raises(FhirError) as caught:
        patched(document, [{"op": "copy", "from": "/a", "path": "/c"}])
    assert caught.value.status == 413
    assert patched(document, [{"op": "remove", "path": "/b"}]).keys() == {"a"}


def test_a_patch_makes_nothing_deeper_than_a_body_may_be() -> None:
    document: Any = {"a": {}}
    deepening = [{"op": "add", "path": "/a" * n, "value": {}} for n in range(2, DEEPEST + 1)]
    assert parsed(dumped(patched(document, deepening[:-1])))
    with pytest.raises(FhirError) as caught:
        patched(document, deepening)
    assert caught.value.status == 422


def test_a_name_that_stands_twice_is_found_by_looking_once() -> None:
    compared = 0

    class Name(str):
        __slots__ = ()
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return str.__eq__(self, other)

    names = [Name(f"name{n}") for n in range(5000)]
    with pytest.raises(FhirError, match="'name4999' stands twice"):
        body._object([(name, 1) for name in (*names, Name("name4999"))])
    assert compared < 50_000
