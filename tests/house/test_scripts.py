"""The scripts behind the make targets say what is missing, and keep exit codes."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.tree import ROOT
from wardlight_cloud.config import BrokerSettings
from wardlight_cloud.security.broker import MOSQUITTO_FIRST_LINE, BrokerPermissions

SYSTEM_PATH = "/usr/bin:/bin"


def _run(command: list[str], cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    keep = {"HOME": str(cwd), "PATH": SYSTEM_PATH}
    return subprocess.run(
        command, cwd=cwd, env=keep | environment, capture_output=True, text=True, timeout=180
    )


def _program(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


def _only_pythons(folder: Path, script: str) -> str:
    """A PATH on which each Python that the finder tries runs `script`."""
    for name in ("python3", *(f"python3.{minor}" for minor in range(11, 15))):
        _program(folder, name, script)
    return f"{folder}:{SYSTEM_PATH}"


def test_finder_prints_a_python_that_can_make_environments(tmp_path: Path) -> None:
    result = _run([str(ROOT / "scripts" / "python")], tmp_path, PYTHON=sys.executable)
    assert result.returncode == 0
    assert Path(result.stdout.strip()).samefile(sys.executable)


def test_finder_names_the_package_that_brings_venv(tmp_path: Path) -> None:
    (tmp_path / "ensurepip.py").write_text("raise ImportError('as on a bare Debian')")
    path = _only_pythons(tmp_path / "bin", f'exec {shlex.quote(sys.executable)} "$@"')
    result = _run([str(ROOT / "scripts" / "python")], tmp_path, PATH=path, PYTHONPATH=str(tmp_path))
    assert result.returncode == 1
    assert not result.stdout
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert f"apt install python{version}-venv" in result.stderr


def test_finder_takes_no_empty_folder_for_the_package(tmp_path: Path) -> None:
    """Removing python3-venv may leave the folder of its compiled files behind."""
    hide = (
        "import sys; sys.meta_path.insert(0, type('Hide', (), {'find_spec': staticmethod("
        "lambda name, path=None, target=None: __import__('importlib.machinery')"
        ".machinery.ModuleSpec(name, None, is_package=True) if name == 'ensurepip' else None)}))"
    )
    (tmp_path / "sitecustomize.py").write_text(hide)
    path = _only_pythons(tmp_path / "bin", f'exec {shlex.quote(sys.executable)} "$@"')
    result = _run([str(ROOT / "scripts" / "python")], tmp_path, PATH=path, PYTHONPATH=str(tmp_path))
    assert result.returncode == 1
    assert "-venv" in result.stderr


def test_finder_refuses_an_old_python(tmp_path: Path) -> None:
    path = _only_pythons(tmp_path / "bin", "echo")  # what the question prints before 3.11
    result = _run([str(ROOT / "scripts" / "python")], tmp_path, PATH=path)
    assert result.returncode == 1
    assert "needs Python 3.11 or newer" in result.stderr


@pytest.mark.parametrize(("check", "test"), [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_ci_runs_both_and_fails_with_either(tmp_path: Path, check: int, test: int) -> None:
    """Whatever happens, both run, and pytest's summary stays the last line."""
    folder = tmp_path / "a checkout"
    (folder / ".ci").mkdir(parents=True)
    shutil.copy(ROOT / ".ci" / "run", folder / ".ci" / "run")
    (folder / "Makefile").write_text(
        f"check:\n\t@exit {check}\ntest:\n\t@echo '== 3 passed =='; exit {test}\n"
    )
    command = ["sh", "-c", ".ci/run 2>&1"]  # in one stream, as a terminal shows it
    result = _run(command, folder)
    assert (result.returncode != 0) == bool(check or test)
    assert result.stdout.splitlines()[-1] == "== 3 passed =="


def test_environment_is_made_again_when_its_lock_changes(tmp_path: Path) -> None:
    """Of scripts/venv the decision is tested: a stand-in for Python notes that it was called."""
    folder = tmp_path / "a checkout"
    (folder / "requirements").mkdir(parents=True)
    shutil.copytree(ROOT / "scripts", folder / "scripts")
    for name in ("pyproject.toml", "requirements/lab.txt", "requirements/dev.txt"):
        (folder / name).write_text(name)
    _program(
        folder / "scripts",
        "python",
        f"echo {tmp_path / 'stand-in'}",
    )
    # Makes an environment whose own Python (pip) does nothing.
    made = tmp_path / "made"
    _program(
        tmp_path,
        "stand-in",
        f'echo made >> "{made}"; mkdir -p .venv/bin; cp /bin/true .venv/bin/python',
    )

    def times_made(side: str) -> int:
        before = len(made.read_text().splitlines()) if made.exists() else 0
        result = _run(["scripts/venv", side], folder)
        assert result.returncode == 0, result.stderr
        return (len(made.read_text().splitlines()) if made.exists() else 0) - before

    assert times_made("lab") == 1
    assert times_made("lab") == 0
    assert times_made("dev") == 1
    assert times_made("lab") == 0, "dev holds all of lab"
    (folder / "requirements" / "dev.txt").write_text("changed")
    assert times_made("dev") == 1
    assert times_made("dev") == 0
    folder = folder.rename(tmp_path / "moved")
    assert times_made("dev") == 1, "the scripts in .venv hold the checkout's path"


def test_local_authority_makes_keys_for_their_owner_alone(tmp_path: Path) -> None:
    result = _run([str(ROOT / "scripts" / "pki"), "keys", "gateway", "gateway-1"], tmp_path)
    assert result.returncode == 0, result.stderr
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "keys").iterdir()}
    assert modes == {
        "ca.key": 0o600,
        "ca.pem": 0o644,
        "gateway-1.key": 0o600,
        "gateway-1.pem": 0o644,
    }
    verified = _run(
        ["openssl", "verify", "-x509_strict", "-CAfile", "keys/ca.pem", "keys/gateway-1.pem"],
        tmp_path,
    )
    assert verified.returncode == 0, verified.stderr


@pytest.mark.parametrize(
    ("role", "name"),
    [
        ("gateway", "collector-1"),
        ("gateway", "api-1"),
        ("collector", "gateway-1"),
        ("gateway", "A"),
    ],
)
def test_local_authority_gives_no_name_of_another_role(
    tmp_path: Path, role: str, name: str
) -> None:
    """mosquitto knows a client by its name alone; the cloud's own authority has the same rule."""
    result = _run([str(ROOT / "scripts" / "pki"), "keys", role, name], tmp_path)
    assert result.returncode == 2
    assert "is no name for a" in result.stderr
    assert not (tmp_path / "keys").exists()


def test_compose_is_prepared_once_and_again_with_more_names(tmp_path: Path) -> None:
    folder = tmp_path / "a checkout"
    settings = folder / "firmware-configs" / "gateway"
    settings.mkdir(parents=True)
    (folder / "scripts").mkdir()
    for name in ("pki", "prepare-compose"):
        shutil.copy(ROOT / "scripts" / name, folder / "scripts")
    for name in ("edge.container.toml", "mosquitto.acl"):
        shutil.copy(ROOT / "firmware-configs" / "gateway" / name, settings)

    def prepared(*gateways: str, **environment: str) -> str:
        """The names in the broker's certificate."""
        result = _run(["scripts/prepare-compose", *gateways], folder, **environment)
        assert result.returncode == 0, result.stderr
        shown = ["openssl", "x509", "-in", "deploy/pki/broker.pem", "-noout", "-text"]
        return _run(shown, folder).stdout

    assert "DNS:broker, DNS:localhost, IP Address:127.0.0.1\n" in prepared("ward-1")
    permissions = BrokerPermissions(
        collectors=BrokerSettings().collectors, apis=BrokerSettings().apis
    ).mosquitto_acl()
    given = (folder / "deploy" / "broker" / "mosquitto.acl").read_text()
    first = given.index(MOSQUITTO_FIRST_LINE)
    assert given[first:].strip() == permissions[permissions.index(MOSQUITTO_FIRST_LINE) :].strip()
    secrets = (folder / ".env").read_text()
    assert "WARDLIGHT_GATEWAY=ward-1" in secrets
    assert (folder / ".env").stat().st_mode & 0o777 == 0o600
    assert 'gateway = "ward-1"' in (folder / "deploy" / "edge" / "edge.toml").read_text()
    for file in folder.glob("deploy/pki/broker.*"):
        file.unlink()
    text = prepared("ward-2", WARDLIGHT_BROKER_NAMES="ward.example.org 192.0.2.7")
    assert "DNS:ward.example.org, IP Address:192.0.2.7\n" in text
    assert (folder / "deploy" / "pki" / "ward-2.pem").exists()
    assert (folder / ".env").read_text() == secrets, "passwords stay"
