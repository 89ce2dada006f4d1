"""FHIR clients that other people wrote, against a running server with a token of its own making.

Each looks at the metadata, gets a token for an assertion, searches over all pages, reads, creates,
changes, and is told what was wrong in its own terms.
"""

import asyncio
import json
from typing import Any

import pytest
from fhirclient.client import FHIRClient
from fhirclient.models.fhirsearch import FHIRSearch
from fhirclient.models.goal import Goal
from fhirclient.models.observation import Observation
from fhirclient.models.patient import Patient
from fhirclient.server import FHIRNotFoundException, FHIRUnauthorizedException
from fhirpy import AsyncFHIRClient
from fhirpy.base.exceptions import (
    MultipleResourcesFound,
    OperationOutcome,
    ResourceNotFound,
)
from requests import HTTPError

from support.peers import missing, require_peer
from support.served_clients import READINGS, Served
from support.tree import ROOT

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(400)]
SCRIPTS = ROOT / "tests" / "support" / "fhir_clients"
PACKAGES = ROOT / ".cache" / "fhir-clients"
VITAL_SIGNS = 2 * READINGS
GOAL = {
    "resourceType": "Goal", "lifecycleStatus": "active", "description": {"text": "Walk every day"},
}  # fmt: skip


async def test_fhirclient(served: Served) -> None:
    await asyncio.to_thread(_fhirclient, served)


def _fhirclient(served: Served) -> None:
    settings = {
        "app_id": "service", "api_base": served.base, "scope": "system/*.cruds",
        "jwt_token": served.assertion(),
    }  # fmt: skip
    client = FHIRClient(settings=settings)
    server = client.server
    assert server.capabilityStatement.fhirVersion == "4.0.1"
    with pytest.raises(FHIRUnauthorizedException):
        Patient.read(str(served.patient), server)
    server.authorize()
    assert client.ready

    patient = Patient.read(str(served.patient), server)
    assert patient.name[0].family == "Almeida"
    wanted = {"patient": str(served.patient), "category": "vital-signs", "_count": "40"}
    search = FHIRSearch(Observation, {**wanted, "_sort": "-date"})
    found = list(search.perform_resources_iter(server))
    assert len({one.id for one in found}) == len(found) == VITAL_SIGNS
    times = [one.effectiveDateTime.isostring for one in found]
    assert times == sorted(times, reverse=True)

    goal = Goal({**GOAL, "subject": {"reference": f"Patient/{served.patient}"}})
    made = goal.create(server)
    stored = Goal.read(made["id"], server)
    assert stored.description.text == "Walk every day"
    stored.lifecycleStatus = "on-hold"
    version = stored.meta.versionId
    assert stored.update(server)["meta"]["versionId"] != version
    stored.delete(server)
    with pytest.raises(HTTPError) as gone:
        Goal.read(made["id"], server)
    assert gone.value.response is not None and gone.value.response.status_code == 410
    with pytest.raises(FHIRNotFoundException) as unknown:
        Patient.read("nobody", server)
    assert unknown.value.response.json()["resourceType"] == "OperationOutcome"


async def test_fhirpy(served: Served) -> None:
    client = AsyncFHIRClient(served.base, authorization=f"Bearer {await served.token()}")
    patient = await client.reference("Patient", str(served.patient)).to_resource()
    assert patient.get_by_path("name.0.family") == "Almeida"

    search = client.resources("Observation").search(patient=patient.id, category="vital-signs")
    found = [one async for one in search.sort("-date").limit(40)]
    assert len({one.id for one in found}) == len(found) == VITAL_SIGNS
    assert await search.search(_total="accurate").count() == VITAL_SIGNS
    whole = await search.limit(100).fetch_all()
    assert {one.id for one in whole} == {one.id for one in found}
    assert (await found[0]["subject"].to_resource()).id == patient.id
    with pytest.raises(MultipleResourcesFound):
        await search.get()

    goal = client.resource("Goal", **GOAL, subject=patient.to_reference())
    await goal.save()
    version = goal["meta"]["versionId"]
    goal["lifecycleStatus"] = "on-hold"
    await goal.save()
    await goal.refresh()
    assert goal["lifecycleStatus"] == "on-hold" and goal["meta"]["versionId"] != version
    await goal.delete()
    with pytest.raises(ResourceNotFound):
        await client.reference("Patient", "nobody").to_resource()
    with pytest.raises(OperationOutcome) as wrong:
        await client.resource("Goal", **GOAL | {"lifecycleStatus": "sometimes"}).save()
    assert wrong.value.resource["issue"][0]["severity"] == "error"


async def _node(served: Served, name: str) -> dict[str, Any]:
    """What a script for node printed. From the standard input its packages are those of the cwd."""
    node = require_peer("node")
    if not (PACKAGES / "node_modules" / ".made-from").exists():
        missing(
            "the npm packages of the FHIR clients", "apt install nodejs npm, then scripts/peers"
        )
    running = await asyncio.create_subprocess_exec(
        node, "--input-type=module", "-", served.base, str(served.patient), served.assertion(),
        cwd=PACKAGES, stdin=-1, stdout=-1, stderr=-1,
    )  # fmt: skip
    script = (SCRIPTS / name).read_bytes()
    out, complaint = await asyncio.wait_for(running.communicate(script), 200)
    assert running.returncode == 0, complaint.decode()[-2000:]
    told: dict[str, Any] = json.loads(out)
    return told


WRITTEN = {
    "created": True, "updated": [True, "on-hold"], "patched": [True, "completed"],
    "vread": "active", "history": 3,
}  # fmt: skip


async def test_fhir_kit_client(served: Served) -> None:
    told = await _node(served, "kit.mjs")
    ids = told.pop("ids")
    assert len(set(ids)) == len(ids) == VITAL_SIGNS
    assert told == {
        "fhirVersion": "4.0.1", "tokenUrl": f"{served.api.url}/oauth/token", "pages": 6,
        "posted": 40, "read": "Observation", "subject": str(served.patient), "transaction": "201",
        "gone": [410, "OperationOutcome", "deleted"],
        "missing": [404, "OperationOutcome", "not-found"],
        "invalid": [422, "OperationOutcome", "code-invalid"],
        "unknown": [400, "OperationOutcome", "invalid"],
        "stranger": [401, "OperationOutcome", "login"],
        **WRITTEN,
    }  # fmt: skip


async def test_medplum(served: Served) -> None:
    told = await _node(served, "medplum.mjs")
    ids = told.pop("ids")
    assert len(set(ids)) == len(ids) == VITAL_SIGNS
    assert told == {
        "fhirVersion": "4.0.1", "signedIn": True, "pages": 6, "read": "Observation",
        "subject": str(served.patient), "found": str(served.patient), "again": True,
        "batch": "200",
        "gone": ["OperationOutcome", "deleted"], "missing": ["OperationOutcome", "not-found"],
        "invalid": ["OperationOutcome", "code-invalid"],
        "unknown": ["OperationOutcome", "invalid"],
        **WRITTEN,
    }  # fmt: skip
