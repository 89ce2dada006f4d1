"""Files for containers, systemd and udev parse, and name commands, keys and files that exist."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.faces import keys, options, settings, subcommands
from support.tree import ROOT, relative
from wardlight_edge import daemon
from wardlight_edge.uplink import uplink

GATEWAY = ROOT / "firmware-configs" / "gateway"
UNITS = sorted(GATEWAY.glob("*.service"))
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {
    name: service
    for name, service in SERVICES.items()
    if str(service["image"]).startswith("wardlight-")
}


def _unit(path: Path) -> list[tuple[str, str, str]]:
    """(section, key, value) of each line; keys of a unit repeat, so no dict."""
    section, found = "", []
    for line in path.read_text(encoding="utf-8").splitlines():
        if header := re.fullmatch(r"\[(\w+)\]", line):
            section = header[1]
        elif line and not line.startswith("#"):
            key, equals, value = line.partition("=")
            assert equals, f"{path.name}: {line!r} is no setting"
            found.append((section, key, value))
    return found


def _environment_keys() -> set[str]:
    """Names of the environment variables that the cloud's settings read."""
    return {"WARDLIGHT_" + key.upper().replace(".", "__") for key in keys(settings("cloud"))}


@pytest.mark.parametrize("name", OURS)
def test_container_runs_a_command_that_exists(name: str) -> None:
    program = str(OURS[name]["image"])
    assert OURS[name]["command"][0] in subcommands(program)


@pytest.mark.parametrize("name", OURS)
def test_container_command_s_options_exist(name: str) -> None:
    program, (command, *rest) = str(OURS[name]["image"]), OURS[name]["command"]
    assert {each for each in rest if each.startswith("--")} <= options(program, command)


def _targets(name: str) -> list[str]:
    return [
        re.sub(r"\$\{\w+:-[^}]*\}", "x", mount).split(":")[1]
        for mount in SERVICES[name].get("volumes", [])
    ]


def test_container_finds_each_file_it_is_told_of() -> None:
    """Keys of a process that talks to the broker are mounted where its settings look."""
    told = {
        value
        for key, value in OURS["collector"]["environment"].items()
        if key.startswith("WARDLIGHT_BROKER__") and key.endswith("_FILE")
    }
    assert told <= set(_targets("collector"))
    edge = tomllib.loads((GATEWAY / "edge.container.toml").read_text(encoding="utf-8"))
    told = {value for key, value in edge["uplink"].items() if key.endswith("_file")}
    assert told <= set(_targets("gateway"))
    assert OURS["gateway"]["command"][-1] in _targets("gateway")
    broker = (GATEWAY / "mosquitto.conf").read_text(encoding="utf-8")
    told = set(re.findall(r"^\w*file (\S+)$", broker, re.MULTILINE))
    assert told
    mounted = set(_targets("broker"))
    assert not [file for file in told if not {file, str(Path(file).parent)} & mounted]


def test_operator_writes_the_permissions_that_the_broker_reads() -> None:
    environment = OURS["operator"]["environment"]
    file = environment["WARDLIGHT_BROKER__PERMISSIONS_FILE"]
    broker = (GATEWAY / "mosquitto.conf").read_text(encoding="utf-8")
    assert re.search(r"^acl_file (\S+)$", broker, re.MULTILINE)[1] == file  # type: ignore[index]
    assert str(Path(file).parent) in _targets("operator")
    assert Path(environment["WARDLIGHT_BROKER__PID_FILE"]).parent == Path(file).parent
    assert OURS["operator"]["pid"] == "service:broker"
    script = (ROOT / "scripts" / "prepare-compose").read_text(encoding="utf-8")
    assert "echo 1 >deploy/broker/mosquitto.pid" in script
    cloud = tomllib.loads((GATEWAY / "cloud.toml").read_text(encoding="utf-8"))["broker"]
    assert (cloud["kind"], cloud["permissions_file"]) == ("mosquitto", file)


def test_containers_reach_each_other_by_names_and_ports_that_exist() -> None:
    environment = OURS["collector"]["environment"]
    assert environment["WARDLIGHT_BROKER__HOST"] in SERVICES
    assert re.search(r"@(\w+)/", environment["WARDLIGHT_DATABASE__DSN"])[1] in SERVICES  # type: ignore[index]
    edge = tomllib.loads((GATEWAY / "edge.container.toml").read_text(encoding="utf-8"))
    assert edge["uplink"]["host"] in SERVICES
    broker = (GATEWAY / "mosquitto.conf").read_text(encoding="utf-8")
    (listener,) = re.findall(r"^listener (\d+)$", broker, re.MULTILINE)
    assert edge["uplink"]["port"] == int(listener)
    inner = {name: SERVICES[name]["ports"][0].rpartition(":")[2] for name in ("broker", "api")}
    api_port = settings("cloud").model_fields["http"].default.port
    assert inner == {"broker": listener, "api": str(api_port)}


def test_health_checks_ask_what_is_served() -> None:
    """Each address in a health check is one the process answers, on the port it is told."""
    command = OURS["collector"]["command"]
    port = command[command.index("--metrics-port") + 1]
    assert f"http://127.0.0.1:{port}/metrics" in OURS["collector"]["healthcheck"]["test"][-1]
    text = (ROOT / "cloud" / "Dockerfile").read_text(encoding="utf-8")
    assert "WARDLIGHT_HTTP__PORT" in _environment_keys()
    assert "'/healthz'" in text
    text = (ROOT / "edge" / "Dockerfile").read_text(encoding="utf-8")
    asked = re.search(r'CMD \["wardlight-edge", "(\w+)", "(--\w+)"', text)
    assert asked
    assert asked[2] in options("wardlight-edge", asked[1])


@pytest.mark.parametrize("side", ["edge", "cloud"])
def test_data_lies_on_the_volume(side: str) -> None:
    """A folder below the volume, so that the process may make it with mode 0700."""
    text = (ROOT / side / "Dockerfile").read_text(encoding="utf-8")
    volume = re.search(r"^VOLUME (\S+)$", text, re.MULTILINE)
    assert volume
    for name in ("gateway",) if side == "edge" else ("collector", "api"):
        assert volume[1] in _targets(name)
    config = (GATEWAY / "edge.container.toml").read_text(encoding="utf-8")
    data = (
        tomllib.loads(config)["data_dir"]
        if side == "edge"
        else re.search(r"WARDLIGHT_DATA_DIR=(\S+)", text)[1]  # type: ignore[index]
    )
    assert Path(data).parent == Path(volume[1])


@pytest.mark.parametrize("name", OURS)
def test_container_environment_is_settings(name: str) -> None:
    assert set(OURS[name].get("environment", {})) <= _environment_keys()


@pytest.mark.parametrize("name", OURS)
def test_container_has_no_more_rights_than_it_needs(name: str) -> None:
    service = OURS[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert not str(service["user"]).startswith("0")


@pytest.mark.parametrize("name", SERVICES)
def test_container_mounts_only_what_is_there(name: str) -> None:
    """Each source is a declared volume, a file of the checkout, or made by prepare-compose."""
    for mount in SERVICES[name].get("volumes", []):
        source = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", mount).split(":")[0]
        if source.startswith("./deploy/"):
            continue
        if source.startswith("./"):
            assert (ROOT / source).is_file(), source
        else:
            assert source in COMPOSE["volumes"], source


@pytest.mark.parametrize("name", SERVICES)
def test_container_ports_stay_on_this_host(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        assert re.match(r"\$\{\w+:-127\.0\.0\.1:", port), f"{name} publishes {port} to the network"


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned_by_tag(name: str) -> None:
    image = str(SERVICES[name]["image"])
    if name not in OURS:
        assert re.search(r":\$\{\w+:-[0-9][\w.-]+\}$", image), f"{image} has no version"


def test_containers_wait_for_services_that_exist() -> None:
    waits = {name for service in SERVICES.values() for name in service.get("depends_on", {})}
    assert waits <= set(SERVICES)


@pytest.mark.parametrize("side", ["edge", "cloud"])
def test_dockerfile_builds_from_the_lock_and_runs_as_nobody_in_particular(side: str) -> None:
    text = (ROOT / side / "Dockerfile").read_text(encoding="utf-8")
    assert "--require-hashes" in text
    assert f"requirements/{side}.txt" in text
    assert text.count("\nFROM ") == 2, "built in one stage, run from another"
    final = text[text.rindex("\nFROM ") :]
    assert re.search(r"^USER wardlight$", final, re.MULTILINE)
    assert "\nHEALTHCHECK " in final
    entry = re.search(r'^ENTRYPOINT \["([\w-]+)"\]\nCMD \["(\w+)"', final, re.MULTILINE)
    assert entry
    assert entry[2] in subcommands(entry[1])
    copied = re.findall(r"^COPY (?!--)(.+) \S+$", text, re.MULTILINE)
    assert not [path for line in copied for path in line.split() if not (ROOT / path).exists()]


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_unit_starts_a_command_that_exists(unit: Path) -> None:
    (command,) = [value for _, key, value in _unit(unit) if key == "ExecStart"]
    path, subcommand, *_ = command.split()
    assert subcommand in subcommands(Path(path).name)


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_unit_s_options_exist(unit: Path) -> None:
    (command,) = [value for _, key, value in _unit(unit) if key == "ExecStart"]
    path, subcommand, *rest = command.split()
    told = {each for each in rest if each.startswith("--")}
    assert told <= options(Path(path).name, subcommand)


@pytest.mark.parametrize("name", ["collect@", "serve"])
def test_a_database_that_is_up_late_keeps_nothing_from_starting(name: str) -> None:
    """A failed oneshot that is required fails who waits for it, and nothing starts them again."""
    unit = _unit(GATEWAY / f"wardlight-cloud-{name}.service")
    migrate = "wardlight-cloud-migrate.service"
    wanted = [value for _, key, value in unit if key in {"Requires", "Requisite", "BindsTo"}]
    assert migrate not in " ".join(wanted)
    assert [key for _, key, value in unit if migrate in value.split()] == ["After", "Wants"]
    step = {key: value for _, key, value in _unit(GATEWAY / migrate)}
    assert (step["Restart"], step["StartLimitIntervalSec"]) == ("on-failure", "0")
    assert re.search(r" --wait [1-9]\d* ", step["ExecStart"])


def test_gateway_readme_types_commands_that_exist() -> None:
    """With the settings and the secrets of the units, so that they reach the same database."""
    readme = (GATEWAY / "README.md").read_text(encoding="utf-8")
    typed = re.findall(r"^sudo /opt/wardlight/bin/(wardlight-cloud) (.+?)(?: +#.*)?$", readme, re.M)
    assert {"gateway", "user"} <= {line.split()[0] for _, line in typed}
    unit = {key: value for _, key, value in _unit(GATEWAY / "wardlight-cloud-serve.service")}
    files = [unit["ExecStart"].split()[-1], unit["EnvironmentFile"].removeprefix("-")]
    for program, line in typed:
        words = line.split()
        command = words[:2] if words[0] in {"client", "gateway"} else words[:1]
        assert words[0] in subcommands(program)
        assert {each for each in words if each.startswith("--")} <= options(program, *command)
        assert words[-4:] == ["--config", files[0], "--env-file", files[1]]


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_unit_reads_settings_that_are_shipped(unit: Path) -> None:
    (command,) = [value for _, key, value in _unit(unit) if key == "ExecStart"]
    file = Path(command.split()[-1])
    assert file.parent == Path("/etc/wardlight")
    assert (GATEWAY / file.name).is_file()


def test_gateway_unit_and_its_settings_name_the_same_files() -> None:
    unit = _unit(GATEWAY / "wardlight-edge.service")
    loaded = {value.partition(":")[0] for _, key, value in unit if key == "LoadCredential"}
    edge = tomllib.loads((GATEWAY / "edge.toml").read_text(encoding="utf-8"))
    key_file = Path(edge["uplink"]["key_file"])
    assert key_file.parent == Path("/run/credentials/wardlight-edge.service")
    assert key_file.name in loaded
    (outbox_key,) = [value for _, key, value in unit if value.startswith("WARDLIGHT_KEY_FILE=")]
    assert outbox_key.rpartition("/")[2] in loaded
    (state,) = [value for _, key, value in unit if key == "StateDirectory"]
    assert Path(edge["data_dir"]) == Path("/var/lib") / state


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_unit_environment_is_settings(unit: Path) -> None:
    named = {value.partition("=")[0] for _, key, value in _unit(unit) if key == "Environment"} - {
        "WARDLIGHT_KEY_FILE"
    }  # the gateway's only one
    assert named <= _environment_keys()


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_unit_is_hardened(unit: Path) -> None:
    service = {key: value for section, key, value in _unit(unit) if section == "Service"}
    assert service["User"] != "root"
    assert service["CapabilityBoundingSet"] == ""
    assert service["NoNewPrivileges"] == "yes"
    assert service["ProtectSystem"] == "strict"
    assert service["UMask"] == "0077"


def test_gateway_unit_is_watched() -> None:
    service = {
        key: value
        for section, key, value in _unit(GATEWAY / "wardlight-edge.service")
        if section == "Service"
    }
    assert service["Type"] == "notify"
    assert int(service["WatchdogSec"]) > 0
    assert service["Restart"] == "always"


def test_a_gateway_has_the_time_it_takes_to_stop() -> None:
    longest_s = daemon.DEVICES_STOP_S + uplink.DRAIN_S + uplink.GOODBYE_S
    unit = {key: value for _, key, value in _unit(GATEWAY / "wardlight-edge.service")}
    assert int(unit["TimeoutStopSec"]) > longest_s
    assert int(OURS["gateway"]["stop_grace_period"].removesuffix("s")) > longest_s


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_systemd_accepts_the_unit(unit: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not here: apt install systemd")
    result = subprocess.run(
        [analyze, "verify", "--man=no", "--recursive-errors=no", str(unit)],
        capture_output=True,
        text=True,
        timeout=180,
    )
    not_installed_here = "is not executable: No such file or directory"
    complaints = [
        line for line in result.stderr.splitlines() if not line.endswith(not_installed_here)
    ]
    assert not complaints


def test_unit_of_a_collector_names_files_that_its_readme_makes() -> None:
    unit = _unit(GATEWAY / "wardlight-cloud-collect@.service")
    readme = (GATEWAY / "README.md").read_text(encoding="utf-8")
    named = " ".join(value for _, key, value in unit if key in {"Environment", "LoadCredential"})
    for file in re.findall(r"/etc/wardlight/pki/([\w%-]+\.\w+)", named.replace("%i", "1")):
        assert file in readme


def test_example_settings_of_a_server_are_valid() -> None:
    from wardlight_cloud import config

    parsed = config.load(GATEWAY / "cloud.toml")
    assert parsed.data_dir == Path("/var/lib/wardlight")
    assert parsed.broker.ca_file == Path("/etc/wardlight/pki/ca.pem")
    assert parsed.http.cookie_secure
    for unit in UNITS:
        for section, key, value in _unit(unit):
            if (section, key) == ("Service", "StateDirectory"):
                assert Path("/var/lib") / value == parsed.data_dir


@pytest.mark.parametrize("name", ["edge.toml", "edge.container.toml"])
def test_example_settings_are_valid(name: str) -> None:
    from wardlight_edge import config

    text = (GATEWAY / name).read_text(encoding="utf-8")
    parsed = config.parse(text, source=name, folder=Path("/etc/wardlight"))
    assert parsed.gateway == "gateway-1"
    # The commented device blocks are what people uncomment first: they must be right too.
    uncommented = re.sub(r"^#(\[\[device|\w+ = )", r"\1", text, flags=re.MULTILINE)
    devices = config.parse(uncommented, source=name, folder=Path("/etc/wardlight")).devices
    assert not [
        device.profile
        for device in devices
        if not (ROOT / "firmware-configs" / f"{device.profile}.toml").is_file()
    ]
    assert tomllib.loads(text)["uplink"]["port"] == 8883


def test_udev_rules_are_well_formed() -> None:
    """udevadm verify is younger than Debian 12, so the grammar is checked here."""
    part = r'[A-Z_]+(\{[\w/]+\})?(==|!=|=|\+=|:=)"[^"]*"'
    for path in GATEWAY.glob("*.rules"):
        for line in path.read_text(encoding="utf-8").splitlines():
            if line and not line.startswith("#"):
                assert re.fullmatch(rf"{part}(, {part})*", line), f"{relative(path)}: {line}"


def test_gateway_readme_names_every_file() -> None:
    text = (GATEWAY / "README.md").read_text(encoding="utf-8")
    assert not [path.name for path in GATEWAY.iterdir() if path.name not in f"{text} README.md"]
