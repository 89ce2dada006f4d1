"""A monitor corrects and withdraws what it sent: from MLLP to an EHR that pulls changes.

Messages are written out here: HL7 v2.6 chapter 7, table 0085 (OBX-11 C, D, W); no encoder of ours.
"""

import socket
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from support.demo import RunningDemo
from support.waiting import wait_until_sync

LOINC = "http://loinc.org"
TEMPERATURE = "8310-5"
BEGUN = datetime.now(UTC).replace(microsecond=0)
PATIENT = "WARD-4^^^WARD^MR"  # whom the demo's monitor watches, too


def _oru(control: str, moment: datetime, value: str, status: str) -> bytes:
    sent = datetime.now(UTC).strftime("%Y%m%d%H%M%S+0000")
    at = moment.strftime("%Y%m%d%H%M%S+0000")
    segments = (
        rf"MSH|^~\&|CHART|WARD|||{sent}||ORU^R01^ORU_R01|{control}|P|2.6",
        f"PID|||{PATIENT}",
        f"OBR|1||{control}|182777000^monitoring^SCT|||{at}",
        "OBX|1|NM|150364^MDC_TEMP_BODY^MDC|1.2.1.1|"
        f"{value}|268192^MDC_DIM_DEGC^MDC|||||{status}|||{at}",
    )
    return b"\x0b" + "\r".join((*segments, "")).encode() + b"\x1c\r"


def _send(demo: RunningDemo, *messages: bytes) -> None:
    """One after the other, each accepted (AA) before the next."""
    place = ("127.0.0.1", demo.facts["hl7_port"])
    with socket.create_connection(place, timeout=180) as connection:
        for message in messages:
            connection.sendall(message)
            answer = b""
            while not answer.endswith(b"\x1c\r"):
                part = connection.recv(65_536)
                assert part, answer
                answer += part
            assert b"\rMSA|AA|" in answer


def _found(demo: RunningDemo, moment: datetime, **more: str) -> list[dict[str, Any]]:
    """Temperatures of the patient around a moment: the age of a reading is told in milliseconds."""
    with demo.client() as client:
        people = client.get("/Patient", params={"identifier": "WARD-4"}).json()
        (patient,) = [entry["resource"]["id"] for entry in people["entry"]]
        around = [(moment + side * timedelta(seconds=30)).isoformat() for side in (-1, 1)]
        query: dict[str, str | list[str]] = {
            "patient": patient,
            "code": f"{LOINC}|{TEMPERATURE}",
            "date": [f"ge{around[0]}", f"lt{around[1]}"],
            **more,
        }
        bundle = client.get("/Observation", params=query).json()
    return [entry["resource"] for entry in bundle.get("entry", [])]


def _said(resources: list[dict[str, Any]]) -> list[tuple[str, object]]:
    return [(each["status"], each.get("valueQuantity", {}).get("value")) for each in resources]


@pytest.mark.parametrize(("hours", "withdrawal"), [(30, "D"), (31, "W")])
def test_corrected_and_then_withdrawn(demo: RunningDemo, hours: int, withdrawal: str) -> None:
    moment = BEGUN - timedelta(hours=hours)
    first, second = f"c{hours}1", f"c{hours}2"
    _send(demo, _oru(first, moment, "73.6", "F"))
    wait_until_sync(lambda: _said(_found(demo, moment)) == [("final", 73.6)], 60, "it is stored")
    (before,) = _found(demo, moment)
    correction = _oru(second, moment, "37.6", "C")
    _send(demo, correction, correction)
    corrected = [("corrected", 37.6)]
    wait_until_sync(lambda: _said(_found(demo, moment)) == corrected, 60, "it is corrected")
    (after,) = _found(demo, moment, _lastUpdated=f"gt{before['meta']['lastUpdated']}")
    assert after["id"] == before["id"]
    assert int(after["meta"]["versionId"]) > int(before["meta"]["versionId"])
    _send(demo, _oru(f"c{hours}3", moment, "", withdrawal))
    gone = [("entered-in-error", None)]
    wait_until_sync(lambda: _said(_found(demo, moment)) == gone, 60, "it is withdrawn")
    (last,) = _found(demo, moment, _lastUpdated=f"gt{after['meta']['lastUpdated']}")
    assert last["id"] == before["id"]
    assert "37.6" not in str(last)
    assert "73.6" not in str(last)


def test_the_correction_comes_first(demo: RunningDemo) -> None:
    moment = BEGUN - timedelta(hours=32)
    _send(demo, _oru("c321", moment, "37.1", "C"), _oru("c322", moment, "71.3", "F"))
    _send(demo, _oru("c323", moment - timedelta(minutes=1), "36.9", "F"))
    later = moment - timedelta(minutes=1)
    wait_until_sync(lambda: _said(_found(demo, later)) == [("final", 36.9)], 60, "all are stored")
    wait_until_sync(lambda: _said(_found(demo, moment)) == [("corrected", 37.1)], 60, "linked")
