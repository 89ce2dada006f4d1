"""`wardlight-cloud dicom node`, `rule` and `retry`, as an operator types them."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from support.postgres import FreshDatabase
from support.store import SCHEMA
from wardlight_cloud.cli import main

Typed = Callable[..., Awaitable[tuple[int, str]]]


@pytest.fixture
async def typed(
    fresh_database: FreshDatabase, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Typed:
    """Runs a command on an empty cloud; gives its exit code and what it said."""
    config = tmp_path / "cloud.toml"
    dsn = await fresh_database(SCHEMA)
    config.write_text(
        f'data_dir = "{tmp_path}"\n[database]\ndsn = "{dsn}"\npool_size = 2\n', encoding="utf-8"
    )

    async def run(*arguments: str, is_first: bool = False) -> tuple[int, str]:
        given = ("--config", str(config))
        line = ("dicom", *given, *arguments) if is_first else ("dicom", *arguments, *given)
        capsys.readouterr()
        code = await asyncio.to_thread(main, line)
        told = capsys.readouterr()
        return code, told.out + told.err

    return run


async def test_nodes(typed: Typed) -> None:
    assert await typed("node", "add", "PACS", "192.0.2.20", "11112", "--tls") == (
        0, "PACS may query and retrieve\n",
    )  # fmt: skip
    fingerprint = ":".join(["9F"] * 32)
    await typed("node", "add", "PORTAL", "192.0.2.30", "--from", "192.0.2.33/28",
                "--fingerprint", f"sha256 Fingerprint={fingerprint}", "--may", "query")  # fmt: skip
    code, told = await typed("node", "list", is_first=True)
    assert code == 0
    _, pacs, portal = told.splitlines()
    assert pacs.split() == ["PACS", "192.0.2.20", "11112", "192.0.2.20", "yes", "-",
                            "query,", "retrieve"]  # fmt: skip
    assert portal.split() == ["PORTAL", "192.0.2.30", "-", "192.0.2.32/28", "no",
                              "9f9f9f9f9f9f9f9f", "query"]  # fmt: skip
    code, told = await typed("node", "add", "ARCHIVE", "archive.example", "104")
    assert (code, "--from NETWORK" in told) == (2, True)
    assert (await typed("node", "remove", "PORTAL"))[0] == 0
    assert (await typed("node", "remove", "PORTAL"))[0] == 2


# pynetdicom leaves the socket of a refused connection to the garbage collector, which warns.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_rules(typed: Typed) -> None:
    await typed("node", "add", "ARCHIVE", "127.0.0.1", "1", "--may", "nothing")
    assert (await typed("rule", "add", "ct", "--modality", "ct", "--to", "ARCHIVE")) == (
        0, "ct forwards modality CT to ARCHIVE\n",
    )  # fmt: skip
    code, told = await typed("rule", "add", "x", "--all", "--to", "NOBODY")
    assert (code, "no node NOBODY" in told) == (1, True)
    await typed("rule", "add", "web", "--all", "--to-url", "https://pacs.example/dicom-web/",
                "--token-env", "PACS_TOKEN", "--give-up-days", "3")  # fmt: skip
    tried = ("rule", "add", "try", "--all", "--dry-run")
    code, told = await typed(*tried, "--to", "ARCHIVE")
    assert (code, "ARCHIVE does not answer" in told) == (1, True)
    assert "0 instances of 0 studies, which are older" in told
    code, told = await typed(*tried, "--to-url", "http://127.0.0.1:1/dicom-web")
    assert (code, "no answer" in told) == (1, True)
    _, told = await typed("rule", "list")
    ct, web = (line.split() for line in told.splitlines()[1:])
    assert ct == ["ct", "modality", "CT", "to", "ARCHIVE", "14", "days"]
    assert web == ["web", "all", "to", "https://pacs.example/dicom-web", "3", "days"]
    _, told = await typed("rule", "status", is_first=True)
    assert told.splitlines()[1].split()[:6] == ["ct", "modality", "CT", "to", "ARCHIVE", "0"]
    assert (await typed("retry")) == (0, "0 instances wait again\n")
    assert (await typed("node", "remove", "ARCHIVE"))[0] == 1
    assert (await typed("rule", "remove", "ct"))[0] == 0
    assert (await typed("rule", "remove", "ct"))[0] == 2


@pytest.mark.parametrize(
    "wrong",
    [
        ("node", "add", "A\\B", "192.0.2.1"),
        ("node", "add", "SEVENTEEN-LETTERS", "192.0.2.1"),
        ("node", "add", "A", "192.0.2.1", "70000"),
        ("rule", "add", "Upper", "--all", "--to", "A"),
        ("rule", "add", "a", "--to", "A"),
        ("rule", "add", "a", "--all", "--to-url", "https://user:secret@pacs.example"),
        ("rule", "add", "a", "--all", "--to-url", "ftp://pacs.example"),
    ],
)
def test_what_cannot_be_is_refused(wrong: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(("dicom", *wrong))
    assert ended.value.code == 2
