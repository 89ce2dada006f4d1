"""Where a patient must not appear: logs, topics, metrics, URLs that get logged, the gateway's disk.

What is looked for: names, birth dates, record numbers, patient ids and labels of the demo's people,
and the values their devices sent, byte by byte.
"""

import json
import re
from collections.abc import Iterator

import httpx

from support.broker_client import BrokerClient
from support.demo import RunningDemo
from support.peers import require_peer
from support.plain_http import PLAIN
from support.waiting import wait_until_sync
from wardlight_cloud.security.ca import CertificateAuthority
from wardlight_cloud.security.roles import Role
from wardlight_lab.demo.folder import COLLECTOR, GATEWAY
from wardlight_lab.demo.ward import MRN_SYSTEM, PEOPLE

TOPIC = re.compile(rf"wl/1/\d+/{GATEWAY}/(up/[a-z]+|down/[a-z]+|state)")
LOGS = ("gateway", "collector", "api", "broker", "postgres")
"""The product's processes; the emulated devices know whose they are, and say it."""

LONG = 9
"""Values at least this long stand in no other place by chance: systolic, diastolic, mean, time."""


def about_people() -> Iterator[str]:
    """Every word that names somebody; record numbers are labels in capitals."""
    for person in PEOPLE:
        yield from (person.family, person.given, person.birth_date.isoformat())
        yield from (str(person.patient_id), person.patient_id.hex)
        yield from (person.label, person.label.upper())


def sent_values(demo: RunningDemo) -> list[bytes]:
    """What the Bluetooth devices have sent and count as delivered."""
    ledger = demo.data_dir / "devices" / "bluetooth.jsonl"
    entries = [json.loads(line) for line in ledger.read_text("utf-8").splitlines()]
    payloads = {bytes.fromhex(e["payload"]) for e in entries if e.get("delivered")}
    return [payload for payload in payloads if len(payload) >= LONG]


def found_in(text: str) -> list[str]:
    return [word for word in about_people() if word in text]


def test_logs_hold_no_patient_and_no_value(demo: RunningDemo) -> None:
    """Also not after a search by name and number, and after a request that fails."""
    person = PEOPLE[0]
    with demo.client() as client:
        for query in (
            {"identifier": f"{MRN_SYSTEM}|{person.label.upper()}"},
            {"family": person.family, "given": person.given},
            {"birthdate": person.birth_date.isoformat()},
            {"_count": person.family},
        ):
            client.get("/Patient", params=query)
        client.get(f"/Patient/{person.patient_id}")
        client.get(f"/Nothing/{person.patient_id}", params={"family": person.family})
        client.post("/Patient", json={"resourceType": "Patient", "name": person.family})
    login = f"{demo.facts['http']}/login"
    httpx.post(login, data={"login": person.family, "password": person.given}, verify=PLAIN)
    for name in LOGS:
        text = (demo.data_dir / "logs" / f"{name}.log").read_text("utf-8", "replace")
        assert text, name
        assert not found_in(text), name
        assert demo.facts["token"] not in text, name
        assert demo.facts["password"] not in text, name
        flat = re.sub(r"[\s:-]", "", text).lower()
        assert not [value.hex() for value in sent_values(demo) if value.hex() in flat], name
    console = (demo.data_dir / "demo.out").read_text("utf-8", "replace")
    assert not found_in(console)


def test_topics_hold_shard_gateway_and_lane_alone(demo: RunningDemo) -> None:
    authority = CertificateAuthority.open(demo.data_dir / "pki")
    credentials = authority.ensure_client(COLLECTOR, Role.COLLECTOR)
    port = int(demo.facts["mqtt"].rpartition(":")[2])
    listener = BrokerClient(port, credentials.authority, credentials, client_id="privacy-test")
    assert listener.connect()
    try:
        assert listener.subscribe("wl/1/+/+/up/#")
        assert listener.subscribe("wl/1/+/+/state")
        wait_until_sync(
            lambda: len({topic for topic, _ in listener.heard}) >= 2, 90, "messages pass by"
        )
    finally:
        listener.close()
    assert not [topic for topic, _ in listener.heard if not TOPIC.fullmatch(topic)]
    for _, payload in listener.heard:
        assert not found_in(payload.decode("latin-1"))


def test_metrics_name_nobody(demo: RunningDemo) -> None:
    text = httpx.get(f"{demo.facts['http']}/metrics", verify=PLAIN).text
    assert "# HELP" in text
    assert not found_in(text)


def test_a_gateway_holds_no_identity_and_no_open_value(demo: RunningDemo) -> None:
    """Its settings, outbox, write-ahead log, state and status page."""
    require_peer("dbus-daemon")
    wait_until_sync(lambda: sent_values(demo), 60, "devices have sent something")
    values = sent_values(demo)
    files = [file for file in (demo.data_dir / "gateway").rglob("*") if file.is_file()]
    assert any(file.name.startswith("outbox") for file in files)
    for file in files:
        octets = file.read_bytes()
        assert not found_in(octets.decode("utf-8", "replace")), file.name
        assert not [value.hex() for value in values if value in octets], file.name
    port = (demo.data_dir / "gateway/data/status.port").read_text().strip()
    status = httpx.get(f"http://127.0.0.1:{port}/status.json", verify=PLAIN).text
    assert not found_in(status)


def test_a_gateway_s_files_are_for_its_user_alone(demo: RunningDemo) -> None:
    folder = demo.data_dir / "gateway" / "data"
    assert folder.stat().st_mode & 0o077 == 0
    secret = [file for file in folder.iterdir() if file.suffix == ".key"]
    assert secret
    assert not [file.name for file in secret if file.stat().st_mode & 0o077]
