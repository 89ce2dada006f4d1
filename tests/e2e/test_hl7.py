"""HL7 into the demo: what the monitor was told is accepted is in FHIR, for its patient."""

import json
import socket
from decimal import Decimal
from typing import Any

from support.demo import RunningDemo
from support.waiting import wait_until_sync

LOINC = "http://loinc.org"


def _accepted(demo: RunningDemo) -> list[dict[str, Any]]:
    """Messages the monitor got an AA for, oldest first."""
    ledger = demo.data_dir / "devices" / "monitor.jsonl"
    text = ledger.read_text("utf-8") if ledger.exists() else ""
    return [json.loads(line) for line in text.splitlines() if line.endswith("}")]


def _values(demo: RunningDemo, code: str) -> list[Decimal]:
    """Values of the monitored patient by code, oldest first."""
    with demo.client() as client:
        people = client.get("/Patient", params={"identifier": "WARD-4"}).json()
        (patient,) = [entry["resource"]["id"] for entry in people["entry"]]
        query = {"patient": patient, "code": f"{LOINC}|{code}", "_sort": "date", "_count": "500"}
        found = client.get("/Observation", params=query).json()
    resources = [entry["resource"] for entry in found.get("entry", [])]
    return [Decimal(str(each["valueQuantity"]["value"])) for each in resources]


def test_what_a_monitor_was_acknowledged_is_in_fhir(demo: RunningDemo) -> None:
    wait_until_sync(lambda: len(_accepted(demo)) >= 3, 60, "three messages are accepted")
    wanted = [Decimal(each["values"]["body_temperature"]) for each in _accepted(demo)[:3]]
    wait_until_sync(lambda: set(wanted) <= set(_values(demo, "8310-5")), 60, "they are in FHIR")


def test_a_message_that_is_none_is_refused_with_its_reason(demo: RunningDemo) -> None:
    place = ("127.0.0.1", demo.facts["hl7_port"])
    with socket.create_connection(place, timeout=180) as connection:
        connection.sendall(b"\x0bMSH|^~\\&|X|Y|||20260105120000||ADT^A01|7|P|2.6\r\x1c\r")
        answer = connection.recv(65_536)
    assert b"\rMSA|AR|7\r" in answer
    assert b"\rERR||MSH^1^9|200^" in answer
