"""Every serial device of the lab, from its process through its own profile into the outbox."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from support.running_gateway import Running, running_gateway
from support.tree import ROOT
from support.waiting import wait_until
from wardlight_edge import profiles
from wardlight_edge.config import DeviceSettings
from wardlight_lab.devices import read_ledger
from wardlight_lab.serialport.lines import BY_SHORT, LINES
from wardlight_shared.codes import METRICS

MODULE = (sys.executable, "-m", "wardlight_lab.serialport")


async def test_each_device_is_read_with_the_profile_it_names(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    asked = [word for short in BY_SHORT for word in ("--device", short)]
    process = await asyncio.create_subprocess_exec(
        *MODULE, "--folder", str(tmp_path / "ports"), *asked,
        "--ledger", str(ledger), "--patient", "p",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        ready = json.loads(await asyncio.wait_for(process.stdout.readline(), 180))
        ports = ready["ports"]
        assert [each["profile"] for each in ports] == [line.profile for line in LINES.values()]
        loaded = profiles.load(ROOT / "firmware-configs", [each["profile"] for each in ports])
        devices = [
            DeviceSettings(identity=f"serial:{place}", profile=each["profile"], port=each["path"])
            for place, each in enumerate(ports)
        ]
        async with running_gateway(tmp_path, loaded, *devices) as gateway:
            await wait_until(lambda: _read_from(gateway) == {each.identity for each in devices})
            await wait_until(lambda: _taken(ledger) == {each["name"] for each in ports})
        # A piece is entered once all of it was written: the gateway may have heard the last one.
        await wait_until(lambda: _values(gateway, "spo2") <= _entered(ledger, "spo2"))
        process.terminate()
        _, told = await asyncio.wait_for(process.communicate(), 180)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0
    commands = told.decode().splitlines()
    assert len(commands) == len(ports)
    assert all(
        f"--profile {each['profile']} --port {each['path']}" in command
        for each, command in zip(ports, commands, strict=True)
    )


def _entered(ledger: Path, metric: str) -> set[int]:
    return {int(each.values[metric]) for each in read_ledger(ledger)}


def _taken(ledger: Path) -> set[str]:
    """The ports of which a whole piece was taken."""
    return {each.device for each in read_ledger(ledger) if each.delivered}


def _read_from(gateway: Running) -> set[str]:
    """The devices of which both values are in the outbox."""
    both = []
    for metric in ("spo2", "pulse_rate_oximeter"):
        keys = [
            gateway.outbox.key(column.series)
            for block in gateway.outbox.blocks()
            for group in block.groups
            for column in group.columns
        ]
        both.append({key.device for key in keys if key.metric == METRICS[metric].wire})
    return both[0] & both[1]


def _values(gateway: Running, metric: str) -> set[int]:
    """What the first second of each block says."""
    return {
        column.first
        for block in gateway.outbox.blocks()
        for group in block.groups
        for column in group.columns
        if gateway.outbox.key(column.series).metric == METRICS[metric].wire
    }


@pytest.mark.parametrize("arguments", [["--help"], ["--folder", "x", "--device", "abacus"]])
async def test_a_person_is_told_how_to_use_it(arguments: list[str]) -> None:
    process = await asyncio.create_subprocess_exec(
        *MODULE, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    told, _ = await asyncio.wait_for(process.communicate(), 180)
    for short in BY_SHORT:
        assert short in told.decode()
    if process.returncode == 0:
        assert "wardlight-edge devices add serial:bed-1 --profile PROFILE" in told.decode()
