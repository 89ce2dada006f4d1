"""What is remembered of clients' texts, and what is not."""

import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from wardlight_cloud.fhir import asking, bundle
from wardlight_cloud.fhir.outcome import FhirError
from wardlight_cloud.fhir.remembered import MAX_CHARACTERS, remembered
from wardlight_cloud.fhir.search import observation_search
from wardlight_cloud.fhir.vocabulary import measured_by_category, measured_by_code


def test_short_texts_are_computed_once_and_long_ones_each_time() -> None:
    seen: list[str] = []

    @remembered(8)
    def length(text: str, other: str | None = None) -> int:
        seen.append(text)
        return len(text)

    short, long = "x" * MAX_CHARACTERS, "x" * (MAX_CHARACTERS + 1)
    assert [length(short), length(short), length(long), length(long)] == [256, 256, 257, 257]
    assert seen == [short, long, long]
    assert length(short, other="y") == length(short, None) == 256
    assert seen[3:] == [short, short]


def search(parameter: str) -> Callable[[str], object]:
    return lambda text: observation_search([(parameter, text)], strict=False)


def accept(text: str) -> None:
    headers = SimpleNamespace(getlist=lambda _: [text])
    request: Any = SimpleNamespace(
        scope={"query_string": b"", "path": "/fhir/Patient"}, headers=headers
    )
    asking.check_accept(request)


@pytest.mark.parametrize(
    "use",
    [
        search("code"),
        search("component-code"),
        search("category"),
        accept,
        lambda text: bundle.links("http://ward.example/fhir", "Patient", [("_id", text)], None),
        lambda text: measured_by_code(None, text),
        lambda text: measured_by_category(text, ""),
    ],
)
def test_a_long_text_of_a_client_is_not_kept(use: Callable[[str], object]) -> None:
    text = uuid4().hex * 16
    before = sys.getrefcount(text)
    try:
        use(text)
    except FhirError as error:
        assert error.status == 406
    assert sys.getrefcount(text) == before
