"""``wardlight-cloud`` on a real database: what an operator types, and what it answers."""

import asyncio
import logging
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID as Uuid
from uuid import uuid4

import asyncpg
import pytest

from support.collector_world import SCHEMA
from support.postgres import FreshDatabase
from support.readings import DEVICE, GATEWAY, BatchMaker, Rec, cuff
from wardlight_cloud.cli import main
from wardlight_cloud.security.tokens import token_hash
from wardlight_cloud.store.postgres import open_postgres
from wardlight_shared.model import Flag

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Operator:
    """Types commands; ``says`` returns what stood on stdout."""

    def __init__(self, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._config = config
        self._capsys = capsys
        self.complaint = ""

    def types(self, *arguments: str) -> tuple[int, str]:
        code = main([*arguments, "--config", str(self._config)])
        out, self.complaint = self._capsys.readouterr()
        return code, out

    def says(self, *arguments: str) -> str:
        code, out = self.types(*arguments)
        assert code == 0, self.complaint
        return out


@pytest.fixture
async def dsn(fresh_database: FreshDatabase) -> str:
    return await fresh_database(SCHEMA)


@pytest.fixture
def process_logging() -> Iterator[None]:
    """A command logs to the stderr that it finds, here a captured one that ends with its test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def operator(
    dsn: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    process_logging: None,
    capsys: pytest.CaptureFixture[str],
) -> Operator:
    monkeypatch.setenv("WARDLIGHT_DATABASE__DSN", dsn)
    config = tmp_path / "cloud.toml"
    config.write_text('[log]\nlevel = "warning"\n')
    return Operator(config, capsys)


def test_gateways_are_added_disabled_and_listed(operator: Operator) -> None:
    assert operator.says("gateway", "list") == "none\n"
    operator.says("gateway", "add", "gw-home-1")
    operator.says("gateway", "add", "gw-home-2")
    operator.says("gateway", "disable", "gw-home-2")
    head, first, second = operator.says("gateway", "list").splitlines()
    assert head.split()[:3] == ["gateway", "enabled", "online"]
    assert first.split()[:3] == ["gw-home-1", "yes", "no"]
    assert second.split()[:3] == ["gw-home-2", "no", "no"]


def test_names_that_no_gateway_may_have_are_refused(operator: Operator) -> None:
    for name in ("x", "Gateway", "collector-1"):
        code, _ = operator.types("gateway", "add", name)
        assert code == 2
        assert "no name of a gateway" in operator.complaint
    code, _ = operator.types("gateway", "disable", "gw-unknown")
    assert code == 2
    assert "see `gateway list`" in operator.complaint


def test_a_patient_is_added_and_gets_a_device(operator: Operator) -> None:
    said = operator.says(
        "patient", "add", "--family", "Example", "--given", "Ada", "--birth-date", "1950-01-31",
        "--identifier", "urn:oid:1.2.3", "42",
    )  # fmt: skip
    found = UUID.search(said)
    assert found is not None
    assert "Example  Ada    1950-01-31" in operator.says("patient", "list")
    code, _ = operator.types("gateway", "assign", "ble:0A1B2C3D4E5F", found[0])
    assert code == 2
    assert "see `gateway devices`" in operator.complaint


async def _share(dsn: str, first: str) -> None:
    """Two have one identifier, as in data of before it was refused."""
    connection = await asyncpg.connect(dsn)
    await connection.execute(
        "INSERT INTO patient_identifier SELECT patient_id, 7, 'urn:oid:1.2.3', '42' FROM patient "
        "WHERE patient_id <> $1", Uuid(first),
    )  # fmt: skip
    await connection.close()


def test_an_identifier_is_one_patients(operator: Operator, dsn: str) -> None:
    def add(given: str) -> tuple[int, str]:
        names = ("patient", "add", "--family", "Example", "--given", given)
        return operator.types(*names, "--identifier", "urn:oid:1.2.3", "42")

    code, first = add("Ada")
    assert code == 0, operator.complaint
    code, _ = add("Bo")
    assert code != 0
    assert "urn:oid:1.2.3 is another patient's already" in operator.complaint
    assert "42" not in operator.complaint
    operator.says("patient", "add", "--family", "Example", "--given", "Bo")
    assert operator.says("patient", "list", "--shared") == "none\n"
    asyncio.run(_share(dsn, first.strip()))
    operator.says("patient", "add", "--family", "Example", "--given", "Cy")
    shared = operator.says("patient", "list", "--shared")
    assert "Ada" in shared and "Bo" in shared and "Cy" not in shared


async def _measure(dsn: str) -> None:
    """Somebody whom the cuff does not know, three days ago."""
    store = await open_postgres(dsn)
    at = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=3)
    try:
        await store.put_gateway(GATEWAY)
        readings = cuff(at, 130, 85, flags=int(Flag.USER_UNKNOWN))
        await store.ingest([BatchMaker()(Rec(1, readings))])
    finally:
        await store.close()


def test_an_operator_says_whose_a_reading_was(operator: Operator, dsn: str) -> None:
    asyncio.run(_measure(dsn))
    ann = operator.says("patient", "add", "--family", "Example", "--given", "Ada").strip()
    operator.says("gateway", "assign", DEVICE, ann, "--user", "1")
    head, row = operator.says("gateway", "unassigned").splitlines()
    assert head.split() == ["device", "user", "readings", "first", "last"]
    device, user, readings, first, last = row.split()
    assert (device, user, readings, first) == (DEVICE, "unknown", "2", last)
    until = (datetime.fromisoformat(last) + timedelta(seconds=1)).isoformat()
    said = ("gateway", "assign", DEVICE, ann, "--user", "unknown")
    code, _ = operator.types(*said)
    assert code == 2
    assert "--since and --until" in operator.complaint
    code, _ = operator.types(*said, "--since", until, "--until", first)
    assert code == 2
    assert "must be after" in operator.complaint
    operator.says(*said, "--since", first, "--until", until)
    assert operator.says("gateway", "unassigned") == "none\n"


@pytest.mark.parametrize("user", ["255", "-1", "ann"])
def test_users_that_no_device_has(operator: Operator, user: str) -> None:
    with pytest.raises(SystemExit) as caught:
        operator.types("gateway", "assign", DEVICE, str(uuid4()), f"--user={user}")
    assert caught.value.code == 2


def test_users_and_clients_get_fresh_secrets(operator: Operator) -> None:
    first, second = operator.says("user", "nurse"), operator.says("user", "nurse")
    assert first != second
    assert first.startswith("password of nurse: ")
    assert operator.says("client", "add", "ehr").startswith("bearer token of ehr (shown once): wl_")


def test_a_client_is_revoked_and_a_user_disabled(operator: Operator, dsn: str) -> None:
    """And come back with new secrets; whom nobody knows cannot be sent away."""
    token = operator.says("client", "add", "ehr").split()[-1]
    operator.says("user", "nurse")
    assert asyncio.run(_who_reads(dsn, token)) == ("ehr", True)
    operator.says("client", "remove", "ehr")
    operator.says("user", "nurse", "--disable")
    assert asyncio.run(_who_reads(dsn, token)) == (None, False)
    for command in (
        ("client", "remove", "ehr"), ("client", "token", "ehr"), ("user", "nurse", "--disable"),
        ("user", "nurse", "--fhir-user", "Practitioner/1"),
    ):  # fmt: skip
        assert operator.types(*command)[0] == 2
        assert f"there is no {command[0]} '" in operator.complaint
    operator.says("user", "nurse")
    token = operator.says("client", "add", "ehr", "--scope", "system/*.rs").split()[-1]
    assert asyncio.run(_who_reads(dsn, token)) == ("ehr", True)


def test_a_token_has_the_scopes_of_its_client(operator: Operator, dsn: str) -> None:
    said = ("client", "add", "modality", "--scope", "system/ImagingStudy.c")
    first = operator.says(*said).split()[-1]
    assert asyncio.run(_scopes(dsn, first)) == {"system/ImagingStudy.c"}
    second = operator.says("client", "token", "modality").split()[-1]
    assert asyncio.run(_scopes(dsn, first)) == set()
    assert asyncio.run(_scopes(dsn, second)) == {"system/ImagingStudy.c"}
    everything = operator.says("client", "add", "ehr").split()[-1]
    assert asyncio.run(_scopes(dsn, everything)) == {"system/*.rs"}


async def _scopes(dsn: str, token: str) -> set[str]:
    store = await open_postgres(dsn)
    try:
        found = await store.token(token_hash(token))
        return set() if found is None else set(found.scopes)
    finally:
        await store.close()


async def _who_reads(dsn: str, token: str) -> tuple[str | None, bool]:
    """The client of a token, and whether nurse has a password."""
    store = await open_postgres(dsn)
    try:
        found = await store.token(token_hash(token))
        is_user = await store.password_hash("nurse") is not None
        return None if found is None else found.client, is_user
    finally:
        await store.close()


WRONG_CLIENTS: list[tuple[tuple[str, ...], str]] = [
    (("--scope", "patient/Observation.rs"), "need --redirect-uri"),
    (("--scope", "openid"), "need --redirect-uri"),
    (("--scope", "system/Observation.sr"), "in this order"),
    (("--scope", ""), "a scope has"),
    (("--scope", "*"), "not a scope"),
    (("--scope", "system/Observation.rs?status=final"), "can hold nobody to the filter"),
    (("--public", "--scope", "patient/*.rs"), "needs --redirect-uri"),
    (("--redirect-uri", "https://app.example/"), "needs --jwks or --public"),
    (("--public", "--redirect-uri", "https://app.example/"), "say with --scope"),
    (("--public", "--redirect-uri", "http://app.example/", "--scope", "patient/*.rs"), "https"),
    (("--public", "--redirect-uri", "https://a.example/#x", "--scope", "patient/*.rs"), "fragment"),
    (("--public", "--redirect-uri", "javascript:alert(1)", "--scope", "patient/*.rs"), "https, or"),
    (("--public", "--redirect-uri", "data:text/html,x", "--scope", "patient/*.rs"), "https, or"),
    (("--public", "--redirect-uri", "https://a.example/", "--scope", "system/*.rs"), "prove who"),
    (("--jwks", "http://keys.example/jwks", "--scope", "system/*.rs"), "https only"),
    (("--jwks", "nowhere.json", "--scope", "system/*.rs"), "cannot be read"),
    (("--introspect",), "needs --jwks"),
    (("--launch-url", "https://app.example/launch"), "needs --redirect-uri"),
]


def test_clients_that_cannot_be(operator: Operator, tmp_path: Path) -> None:
    for options, complaint in WRONG_CLIENTS:
        assert operator.types("client", "add", "app", *options) == (2, ""), options
        assert complaint in operator.complaint, options
    private = tmp_path / "private.json"
    private.write_text('{"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB", "d": "AQAB"}]}')
    keys = ("--jwks", str(private), "--scope", "system/*.rs")
    assert operator.types("client", "add", "app", *keys) == (2, "")
    assert "private or secret key" in operator.complaint
    assert operator.types("client", "add", "an app") == (2, "")
    assert operator.says("client", "list") == "none\n"


def test_an_app_is_listed_and_launched(operator: Operator) -> None:
    operator.says(
        "client", "add", "growth-chart", "--public", "--redirect-uri", "https://app.example/back",
        "--launch-url", "https://app.example/launch", "--scope", "launch", "--scope",
        "patient/Observation.rs?category=vital-signs",
    )  # fmt: skip
    _, line = operator.says("client", "list").splitlines()
    assert line.split() == [
        "growth-chart", "nothing", "(public)", "launch",
        "patient/Observation.rs?category=vital-signs", "https://app.example/back",
    ]  # fmt: skip
    names = ("--family", "Almeida", "--given", "Anna")
    patient = operator.says("patient", "add", *names).split()[-1]
    address = operator.says("client", "launch", "growth-chart", "--patient", patient)
    assert address.startswith("https://app.example/launch?iss=http%3A%2F%2F127.0.0.1%3A8080%2Ffhir")
    for name, who in (("growth-chart", str(uuid4())), ("other", patient)):
        assert operator.types("client", "launch", name, "--patient", who)[0] == 2
    assert operator.types("client", "token", "growth-chart")[0] == 2
    operator.says("client", "remove", "growth-chart")
    assert operator.says("client", "list") == "none\n"


@pytest.mark.parametrize("number", ["9" * 21, "-1", "x", "\u0661"])
def test_a_number_that_no_row_has(operator: Operator, number: str) -> None:
    for command in (
        ("quarantine", "release", "--reason=x", "--", number),
        ("quarantine", "discard", "--reason=x", "--", number),
        ("quarantine", "show", "--", number),
        ("ledger", f"--release={number}"),
    ):
        with pytest.raises(SystemExit) as caught:
            operator.types(*command)
        assert caught.value.code == 2


@pytest.mark.parametrize(
    "address",
    ["mysql://root:hush@db/x", "hush", "postgresql://root:hush@db:abc/x", "db.example:5432/x"],
)
def test_an_address_of_another_server(
    operator: Operator, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    """It may hold a password, so nothing of it is said."""
    monkeypatch.setenv("WARDLIGHT_DATABASE__DSN", address)
    code, _ = operator.types("gateway", "list")
    assert code == 2
    assert "write it as postgresql://user:password@host:5432/database" in operator.complaint
    assert "hush" not in operator.complaint


def test_secrets_come_from_the_file_of_the_services(
    operator: Operator, dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it an operator is told how a command finds the database that the services use."""
    monkeypatch.setattr(os, "environ", {**os.environ, "WARDLIGHT_DATA_DIR": str(tmp_path)})
    os.environ.pop("WARDLIGHT_DATABASE__DSN")
    secrets = tmp_path / "cloud.env"
    secrets.write_text(f'WARDLIGHT_DATABASE__DSN="{dsn}"\n')
    code, _ = operator.types("gateway", "list")
    assert code == 1
    for way in ("database.dsn", "WARDLIGHT_DATABASE__DSN", "--env-file"):
        assert way in operator.complaint
    assert operator.says("gateway", "list", "--env-file", str(secrets)) == "none\n"
    code, _ = operator.types("gateway", "list", "--env-file", str(tmp_path / "not there"))
    assert code == 2


def test_an_empty_ledger_and_a_current_schema(operator: Operator) -> None:
    assert operator.says("ledger", "--letters") == "none\nnone\n"
    assert operator.says("migrate", "--wait", "5") == "the schema is current\n"


def test_a_terminal_gets_the_answer_alone(operator: Operator, tmp_path: Path) -> None:
    """Also with the settings of a service, which logs what it does."""
    (tmp_path / "cloud.toml").write_text("")
    assert operator.says("gateway", "list") == "none\n"
    assert operator.complaint == ""


def test_wrong_settings_end_with_code_2_and_say_what_to_do(
    operator: Operator, tmp_path: Path
) -> None:
    code, _ = operator.types("collect")
    assert code == 2
    assert "cert_file" in operator.complaint
    (tmp_path / "cloud.toml").write_text("[collector]\nnmae = 1\n")
    code, _ = operator.types("collect")
    assert code == 2
    assert "docs/settings.md lists the keys" in operator.complaint


def test_a_database_that_is_away_ends_with_code_1(
    operator: Operator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WARDLIGHT_DATABASE__DSN", f"postgresql://x@/x?host={tmp_path}")
    code, _ = operator.types("gateway", "list")
    assert code == 1
