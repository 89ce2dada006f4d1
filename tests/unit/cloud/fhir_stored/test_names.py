"""Names of a transaction are put to what they mean where they lead somewhere, nowhere else."""

import importlib
import re
from collections.abc import Iterator
from typing import Any, Final

from pydantic import BaseModel

from wardlight_cloud.fhir.stored.kinds import STORED
from wardlight_cloud.fhir.stored.names import LINKS, Names, with_names
from wardlight_cloud.fhir.stored.wishes import Query

NAME: Final = "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"
MEANT: Final = "Patient/1"
NAMESPACES: Final = {"implicitRules", "issuer", "jurisdiction", "system", "type"}
_URI: Final = re.compile(r"\b(?:Uri|Url|Oid|UuidVersion)\(")
_OWN_OR_PART: Final = re.compile(r"\b(\w+)Type\b")


async def _nothing(_: str, given: Query) -> str:
    return given[0][1]


async def _named(resource: dict[str, Any]) -> dict[str, Any]:
    return await with_names(resource, {NAME: MEANT}, _nothing)


async def test_links_are_replaced() -> None:
    resource = {
        "resourceType": "Task",
        "focus": {"reference": NAME},
        "instantiatesUri": NAME,
        "meta": {"source": NAME},
        "input": [{"valueUri": NAME}, {"valueUuid": NAME}, {"valueAttachment": {"url": NAME}}],
        "contained": [{"resourceType": "Provenance", "policy": [NAME, "urn:x"]}],
        "text": {"div": f"<div><a href='{NAME}'>{NAME}</a><img src = \"{NAME}\"/></div>"},
    }
    assert await _named(resource) == {
        "resourceType": "Task",
        "focus": {"reference": MEANT},
        "instantiatesUri": MEANT,
        "meta": {"source": MEANT},
        "input": [{"valueUri": MEANT}, {"valueUuid": MEANT}, {"valueAttachment": {"url": MEANT}}],
        "contained": [{"resourceType": "Provenance", "policy": [MEANT, "urn:x"]}],
        "text": {"div": f"<div><a href='{MEANT}'>{NAME}</a><img src = \"{MEANT}\"/></div>"},
    }


async def test_texts_and_what_names_itself_stay() -> None:
    resource = {
        "resourceType": "Questionnaire",
        "url": NAME,
        "title": NAME,
        "identifier": [{"system": NAME, "value": NAME, "type": {"text": NAME}}],
        "code": [{"system": NAME, "code": NAME, "display": NAME}],
        "derivedFrom": [NAME],  # a canonical
        "meta": {"profile": [NAME], "tag": [{"system": NAME}]},
        "extension": [{"url": NAME, "valueString": NAME, "extension": [{"url": NAME}]}],
        "subject": {"type": NAME, "identifier": {"system": NAME, "value": NAME}},
    }
    assert await _named(resource) == resource


async def test_only_references_are_looked_for() -> None:
    resource = {"reference": "Patient?identifier=a", "valueUri": "Patient?identifier=a"}
    made = await with_names(resource, {}, _nothing)
    assert made == {"reference": "a", "valueUri": "Patient?identifier=a"}


def test_what_entries_of_one_server_call_one_another() -> None:
    ehr, other = "http://ehr.example/fhir/", "https://other.example/"
    names = Names({f"{ehr}Patient/1": "Patient/a", f"{other}Patient/1": "Patient/b", NAME: MEANT})
    seen = names.seen_from(f"{ehr}Observation/1")
    assert (seen["Patient/1"], seen[f"{other}Patient/1"], seen[NAME]) == (
        "Patient/a", "Patient/b", MEANT,
    )  # fmt: skip
    assert names.seen_from(f"{other}Task/1")["Patient/1"] == "Patient/b"
    wrong = Names({f"{ehr}Patient/1": "Task/a"})
    assert "Patient/1" not in wrong.seen_from(f"{ehr}Observation/1"), "it is no Patient"
    for full_url in (None, NAME, "http://third.example/Task/1", f"{ehr}Observation"):
        assert "Patient/1" not in names.seen_from(full_url)


def _classes() -> Iterator[type[BaseModel]]:
    """Types of R4 that stored resources are made of."""
    wanted, seen, known = list(STORED), set[str](), dict[str, type[BaseModel]]()
    while wanted:
        name = wanted.pop()
        if name in seen or name in ("None", "FHIRPrimitiveExtension", "Resource"):
            continue
        seen.add(name)
        if name not in known:
            module = importlib.import_module(f"fhir.resources.R4B.{name.lower()}")
            known |= {
                each.__name__: each
                for each in vars(module).values()
                if isinstance(each, type) and issubclass(each, BaseModel)
            }
        yield known[name]
        for field in known[name].model_fields.values():
            wanted += _OWN_OR_PART.findall(str(field.annotation))


def test_each_uri_of_r4_is_a_link_or_a_namespace() -> None:
    found = {
        field.alias or name
        for each in _classes()
        for name, field in each.model_fields.items()
        if _URI.search(str(field.annotation))
    }
    assert found == LINKS | NAMESPACES
