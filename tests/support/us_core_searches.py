"""The searches that US Core asks of a server, for each type that is kept here, as a table.

Kind.asked      combinations of parameters, as US Core's server statement lists them
Kind.values     of each parameter texts that find the resource, and texts that do not

    assert await fails(client, kind) == []

Source  US Core server CapabilityStatement (8.0, 9.0 ballot): searches that it SHALL or SHOULD take
"""

from dataclasses import dataclass
from typing import Any

import httpx

from support.served_ward import ANNA, BERT
from support.stored_resources import created, found

LOINC, SNOMED = "http://loinc.org", "http://snomed.info/sct"
US_CATEGORY = "http://hl7.org/fhir/us/core/CodeSystem/us-core-category"
NOTE = "http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category"
V2_74 = "http://terminology.hl7.org/CodeSystem/v2-0074"
CARE_PLAN = "http://hl7.org/fhir/us/core/CodeSystem/careplan-category"
DAY = "2026-03-10T12:00:00Z"

Values = tuple[tuple[str, ...], tuple[str, ...]]
PATIENT: Values = ((str(ANNA), f"Patient/{ANNA}"), (str(BERT), "nobody"))
ON_DAY: Values = (
    ("2026-03-10", "2026", "ge2026-03-10", "le2026-03-10", "gt2026-03-09", "lt2026-03-11",
     "ge2026-03-10T12:00:00Z", "ge2026-03-01&{name}=lt2026-04-01"),
    ("2026-03-11", "gt2026-03-10", "lt2026-03-10", "ge2026-03-11", "le2026-03-09T23:00:00Z",
     "ge2026-03-01&{name}=lt2026-03-05"),
)  # fmt: skip
UPDATED: Values = (("ge2026-03-01",), ("lt2026-03-01",))


@dataclass(frozen=True)
class Kind:
    """One type: what is written, and how it is searched for."""

    resource: dict[str, Any]
    values: dict[str, Values]
    asked: str


def coded(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


def code_values(system: str, code: str) -> Values:
    """With and without its system, in a list; and another code, and its own of another system."""
    return ((f"{system}|{code}", code, f"x,{code}"), ("x", f"urn:other|{code}"))


def of_anna(kind: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": kind, "subject": {"reference": f"Patient/{ANNA}"}, **more}


DIAGNOSTIC_REPORT = Kind(
    of_anna(
        "DiagnosticReport", status="final", category=[coded(V2_74, "LAB")],
        code=coded(LOINC, "58410-2"), effectiveDateTime=DAY, issued="2026-03-12T12:00:00Z",
    ),
    {
        "patient": PATIENT, "category": code_values(V2_74, "LAB"),
        "code": code_values(LOINC, "58410-2"), "date": ON_DAY, "_lastUpdated": UPDATED,
        "status": (("final", "amended,final"), ("amended",)),
    },
    "patient, patient+category, patient+category+date, patient+code, patient+code+date, "
    "patient+status, patient+category+_lastUpdated",
)  # fmt: skip
DOCUMENT_REFERENCE = Kind(
    of_anna(
        "DocumentReference", status="current", category=[coded(NOTE, "clinical-note")],
        type=coded(LOINC, "34133-9"), date="2025-06-05T12:00:00Z",
        context={"period": {"start": DAY, "end": DAY}},
        content=[{"attachment": {"contentType": "text/plain", "data": "YQ=="}}],
    ),
    {
        "_id": (("{id}",), ("nobody",)), "patient": PATIENT,
        "category": code_values(NOTE, "clinical-note"), "period": ON_DAY,
        "date": (("2025-06-05", "ge2025-06-01&date=lt2025-07"), ("2025-06-06", "gt2025-07")),
        "type": code_values(LOINC, "34133-9"),
        "status": (("current", "superseded,current"), ("superseded",)),
    },
    "_id, patient, patient+category, patient+category+date, patient+type, patient+type+period, "
    "patient+status",
)  # fmt: skip
SERVICE_REQUEST = Kind(
    of_anna(
        "ServiceRequest", status="active", intent="order", authoredOn=DAY,
        category=[coded(SNOMED, "386053000")], code=coded(LOINC, "24356-8"),
    ),
    {
        "_id": (("{id}",), ("nobody",)), "patient": PATIENT, "authored": ON_DAY,
        "category": code_values(SNOMED, "386053000"), "code": code_values(LOINC, "24356-8"),
        "status": (("active", "completed,active"), ("completed",)),
    },
    "_id, patient, patient+category, patient+category+authored, patient+code, "
    "patient+code+authored, patient+status",
)  # fmt: skip
CARE_PLAN_KIND = Kind(
    of_anna(
        "CarePlan", status="active", intent="plan", category=[coded(CARE_PLAN, "assess-plan")],
        period={"start": DAY, "end": DAY},
    ),
    {
        "patient": PATIENT, "category": code_values(CARE_PLAN, "assess-plan"), "date": ON_DAY,
        "status": (("active", "draft,active"), ("draft",)),
    },
    "patient+category, patient+category+status, patient+category+date, "
    "patient+category+status+date",
)  # fmt: skip
GOAL = Kind(
    of_anna(
        "Goal", lifecycleStatus="active", description={"text": "walk"}, startDate="2026-03-01",
        target=[{"dueDate": "2026-03-10"}],
    ),
    {
        "patient": PATIENT, "lifecycle-status": (("active", "planned,active"), ("planned",)),
        "target-date": (("2026-03-10", "ge2026-03-01", "lt2026-04"), ("2026-03-11", "gt2026-04")),
    },
    "patient, patient+lifecycle-status, patient+target-date",
)  # fmt: skip


def medication_request(intent: str) -> Kind:
    resource = of_anna(
        "MedicationRequest", status="active", intent=intent, authoredOn=DAY,
        medicationCodeableConcept=coded("http://www.nlm.nih.gov/research/umls/rxnorm", "1049502"),
        encounter={"reference": "Encounter/e-1"},
    )  # fmt: skip
    values: dict[str, Values] = {
        "patient": PATIENT, "intent": ((intent, f"x,{intent}"), ("option",)),
        "status": (("active", "stopped,active"), ("stopped",)), "authoredon": ON_DAY,
        "encounter": (("Encounter/e-1",), ("Encounter/e-2",)),
    }  # fmt: skip
    asked = (
        "patient+intent, patient+intent+status, patient+intent+encounter, patient+intent+authoredon"
    )
    return Kind(resource, values, asked)


QUESTIONNAIRE_RESPONSE = Kind(
    of_anna(
        "QuestionnaireResponse", status="completed", authored=DAY,
        questionnaire="http://example.org/Questionnaire/phq-9",
        meta={"tag": [{"system": US_CATEGORY, "code": "sdoh"}]},
    ),
    {
        "_id": (("{id}",), ("nobody",)), "patient": PATIENT, "authored": ON_DAY,
        "questionnaire": (
            ("http://example.org/Questionnaire/phq-9",), ("http://example.org/Questionnaire/x",)
        ),
        "status": (("completed", "amended,completed"), ("amended",)),
        "_tag": ((f"{US_CATEGORY}|sdoh",), (f"{US_CATEGORY}|x",)),
    },
    "_id, patient, patient+status, patient+authored, patient+questionnaire, patient+_tag",
)  # fmt: skip
PRACTITIONER = Kind(
    {
        "resourceType": "Practitioner", "name": [{"family": "Ash", "given": ["Ada"]}],
        "identifier": [{"system": "http://hl7.org/fhir/sid/us-npi", "value": "9941339108"}],
    },
    {
        "_id": (("{id}",), ("nobody",)), "name": (("Ash", "ada", "as"), ("Oak",)),
        "identifier": code_values("http://hl7.org/fhir/sid/us-npi", "9941339108"),
    },
    "_id, name, identifier",
)  # fmt: skip
ORGANIZATION = Kind(
    {
        "resourceType": "Organization", "name": "Hill Ward", "active": True,
        "address": [{"city": "Ashfield", "postalCode": "10101"}],
    },
    {
        "name": (("Hill", "hill ward"), ("Dale",)),
        "address": (("Ashfield", "10101"), ("Oakham",)),
    },
    "name, address",
)  # fmt: skip
PATIENTS = Kind(
    {
        "resourceType": "Patient", "name": [{"family": "Oak", "given": ["Ida"]}], "gender": "other",
        "identifier": [{"system": "urn:test:mrn", "value": "O-9"}], "birthDate": "1960-03-10",
        "deceasedDateTime": DAY,
    },
    {
        "_id": (("{id}",), ("nobody",)), "identifier": code_values("urn:test:mrn", "O-9"),
        "name": (("Oak", "ida"), ("Ash",)), "family": (("Oak", "oa"), ("Ida",)),
        "gender": (("other", "male,other"), ("male",)), "death-date": ON_DAY,
        "birthdate": (("1960-03-10", "1960", "lt1961"), ("1960-03-11", "gt1961")),
    },
    "_id, identifier, name, birthdate+name, gender+name, birthdate+family, gender+family, "
    "death-date+family",
)  # fmt: skip


async def fails(client: httpx.AsyncClient, kind: Kind) -> list[str]:
    """Writes the resource; searches that do not find it, or find it where they must not."""
    name = kind.resource["resourceType"]
    one = (await created(client, kind.resource))["id"]
    wrong: list[str] = []

    def query(names: list[str], changed: str = "", text: str = "") -> str:
        pairs = {each: kind.values[each][0][0] for each in names}
        if changed:
            pairs[changed] = text
        texts = [f"{each}={pairs[each].format(id=one, name=each)}" for each in names]
        return f"{name}?{'&'.join(texts)}"

    for asked in kind.asked.split(", "):
        names = asked.split("+")
        for changed in names:
            for is_there, texts in zip((True, False), kind.values[changed], strict=True):
                for text in texts:
                    search = query(names, changed, text)
                    if (one in await found(client, search)) is not is_there:
                        wrong.append(search)
    return wrong
