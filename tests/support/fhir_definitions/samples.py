"""Resources that are valid by R4 4.0.1, written by hand: what the validator is tried on.

Source  R4 4.0.1 vital signs profiles (their fixed codes), Patient, Device, Bundle,
        CapabilityStatement and OperationOutcome; none comes from our encoder
"""

import json
from copy import deepcopy
from decimal import Decimal
from typing import Any, Final

Json = Any
_HEART_RATE: Final = """{
  "resourceType": "Observation", "id": "heart-rate-1",
  "meta": {
    "versionId": "3", "lastUpdated": "2026-03-10T12:00:01.250Z",
    "profile": ["http://hl7.org/fhir/StructureDefinition/heartrate"],
    "tag": [{"system": "urn:example:tags", "code": "home"}]
  },
  "extension": [{
    "url": "http://hl7.org/fhir/StructureDefinition/observation-gatewayDevice",
    "valueReference": {"reference": "Device/hub"}
  }],
  "identifier": [{"system": "urn:oid:1.2.3.4", "value": "hr-1"}],
  "status": "final",
  "category": [
    {"coding": [{
      "system": "http://terminology.hl7.org/CodeSystem/observation-category",
      "code": "vital-signs", "display": "Vital Signs"
    }]}
  ],
  "code": {
    "coding": [{"system": "http://loinc.org", "code": "8867-4", "display": "Heart rate"}],
    "text": "Heart rate"
  },
  "subject": {"reference": "Patient/anna"},
  "effectiveDateTime": "2026-03-10T13:00:00+01:00",
  "_effectiveDateTime": {"extension": [
    {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}
  ]},
  "issued": "2026-03-10T12:00:01.250Z",
  "performer": [{"reference": "Practitioner/kim"}],
  "valueQuantity": {
    "value": 44.00, "unit": "/min", "system": "http://unitsofmeasure.org", "code": "/min"
  },
  "interpretation": [{"coding": [{
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation",
    "code": "L", "display": "Low"
  }]}],
  "note": [{"text": "after rest"}],
  "device": {"reference": "https://ehr.example/fhir/Device/belt/_history/2"},
  "referenceRange": [{"low": {
    "value": 50, "unit": "/min", "system": "http://unitsofmeasure.org", "code": "/min"
  }}]
}"""
_PRESSURE: Final = """{
  "resourceType": "Observation", "id": "pressure-1",
  "meta": {"profile": ["http://hl7.org/fhir/StructureDefinition/bp"]},
  "status": "preliminary",
  "category": [
    {"coding": [{"system": "urn:example:categories", "code": "home"}]},
    {"coding": [{
      "system": "http://terminology.hl7.org/CodeSystem/observation-category",
      "code": "vital-signs"
    }]}
  ],
  "code": {"coding": [
    {"system": "http://loinc.org", "code": "85354-9"},
    {"system": "urn:iso:std:iso:11073:10101", "code": "150020"}
  ]},
  "subject": {"reference": "Patient/anna"},
  "effectiveDateTime": "2026-03-10",
  "component": [
    {
      "code": {"coding": [
        {"system": "urn:iso:std:iso:11073:10101", "code": "150021"},
        {"system": "http://loinc.org", "code": "8480-6"}
      ]},
      "valueQuantity": {
        "value": 138, "unit": "mmHg", "system": "http://unitsofmeasure.org", "code": "mm[Hg]"
      }
    },
    {
      "code": {"coding": [{"system": "http://loinc.org", "code": "8462-4"}]},
      "dataAbsentReason": {"coding": [{
        "system": "http://terminology.hl7.org/CodeSystem/data-absent-reason",
        "code": "not-a-number"
      }]}
    },
    {
      "code": {"coding": [{"system": "http://loinc.org", "code": "8478-0"}]},
      "valueQuantity": {
        "value": 101, "unit": "mmHg", "system": "http://unitsofmeasure.org", "code": "mm[Hg]"
      }
    }
  ]
}"""
_PATIENT: Final = """{
  "resourceType": "Patient", "id": "anna", "active": true,
  "identifier": [{
    "system": "urn:example:mrn", "value": "A-1",
    "period": {"start": "2026-03-10T12:00:00Z", "end": "2026-03-10T12:00:40.5Z"}
  }],
  "name": [{"use": "official", "family": "Almeida", "given": ["Anna", "M."]}],
  "telecom": [{"system": "phone", "value": "555 0100", "rank": 1}],
  "gender": "female", "birthDate": "1950-02-28",
  "multipleBirthInteger": 2,
  "contact": [{"name": {"text": "Bert"}}]
}"""
_DEVICE: Final = """{
  "resourceType": "Device", "id": "belt", "status": "active",
  "udiCarrier": [{"carrierHRF": "(01)00844588003288"}],
  "deviceName": [{"name": "Belt 7", "type": "model-name"}],
  "type": {"coding": [{"system": "urn:iso:std:iso:11073:10101", "code": "65573"}]},
  "version": [{"value": "1.2"}],
  "patient": {"reference": "Patient/anna"}
}"""
_STATEMENT: Final = """{
  "resourceType": "CapabilityStatement", "status": "active", "date": "2026-03-10",
  "kind": "instance", "fhirVersion": "4.0.1", "format": ["json"],
  "software": {"name": "Ward"}, "implementation": {"description": "Ward"},
  "rest": [{
    "mode": "server",
    "resource": [{
      "type": "Observation",
      "interaction": [{"code": "read"}, {"code": "search-type"}],
      "searchParam": [{"name": "date", "type": "date"}, {"name": "code", "type": "token"}]
    }]
  }]
}"""
_OUTCOME: Final = """{
  "resourceType": "OperationOutcome",
  "issue": [{
    "severity": "error", "code": "not-found", "diagnostics": "There is none.",
    "expression": ["http.date"]
  }]
}"""


def _searchset() -> Json:
    resources = {"Observation/heart-rate-1": _HEART_RATE, "Patient/anna": _PATIENT}
    return {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": 1,
        "link": [{"relation": "self", "url": "https://ehr.example/fhir/Observation"}],
        "entry": [
            {
                "fullUrl": f"https://ehr.example/fhir/{place}",
                "resource": json.loads(text, parse_float=Decimal),
                "search": {"mode": mode, "score": Decimal("0.5")},
            }
            for (place, text), mode in zip(resources.items(), ("match", "include"), strict=True)
        ],
    }


_SAMPLES: Final[dict[str, Json]] = {
    "heart rate": json.loads(_HEART_RATE, parse_float=Decimal),
    "pressure": json.loads(_PRESSURE),
    "patient": json.loads(_PATIENT),
    "device": json.loads(_DEVICE),
    "statement": json.loads(_STATEMENT),
    "outcome": json.loads(_OUTCOME),
    "searchset": _searchset(),
}
NAMES: Final = tuple(_SAMPLES)


def sample(name: str) -> Json:
    """A copy of a valid resource."""
    return deepcopy(_SAMPLES[name])
