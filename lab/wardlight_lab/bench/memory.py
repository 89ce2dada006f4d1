"""How much memory the gateway takes: `wardlight-edge run` where only the edge's lock is installed.

idle       Bluetooth on the emulated system bus with three enrolled devices that are silent, one
           silent serial line, connected to the broker; resident set after half a minute
streaming  the same with two oximeters and a strap that notify once a second
draining   the most it ever had (VmHWM) while 72 h of 10 readings/s left its outbox
The gateway's code is compiled, as pip leaves it: a process that compiles itself stays larger.
Source     proc(5): VmRSS, VmHWM; parts of smaps_rollup stand in the notes
"""

import asyncio
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from wardlight_edge import config as edge_config
from wardlight_lab.bench.backlog_file import fill
from wardlight_lab.bench.emulated import start_bluetooth
from wardlight_lab.bench.figures import Aim, Row
from wardlight_lab.bench.gateway_status import is_connected, snapshot
from wardlight_lab.bench.own_environment import python_of
from wardlight_lab.bench.process_memory import parts_mb, status_mb
from wardlight_lab.bench.setting import CHECKOUT, Setting, UnfitMachine
from wardlight_lab.bench.site import Site
from wardlight_lab.bench.ward import Ward
from wardlight_lab.demo.ward import DemoDevice
from wardlight_lab.serialport.pty_port import PtyPort
from wardlight_lab.supervise import Child

NAME: Final = "memory"
_IDLE: Final = Aim(50, at_least=False)
_DRAINING: Final = Aim(80, at_least=False)
_GATEWAY: Final = "gw-memory"
_HOURS: Final = 72
_SAMPLES: Final = 5
_POLL_S: Final = 0.2
_COMPILE_S: Final = 120.0
_PATH: Final = "PYTHONPATH"
_DRAIN_S: Final = 900.0

_SILENT: Final = (
    ("blood_pressure_cuff", "ward-1"),
    ("thermometer", "ward-1"),
    ("weight_scale", "ward-1"),
)
_STREAMING: Final = (
    *_SILENT,
    ("pulse_oximeter", "ward-2"),
    ("pulse_oximeter", "ward-3"),
    ("heart_rate_strap", "ward-4"),
)


def measure(setting: Setting) -> Iterator[Row]:
    """The rows of this measurement."""
    if shutil.which("dbus-daemon") is None:
        raise UnfitMachine("dbus-daemon is missing: apt install dbus")
    python = python_of("edge", ("shared", "edge"))
    code = _installed(setting.folder / "installed", python)
    for what, devices, aim in (
        ("idle", _SILENT, _IDLE),
        ("streaming", _STREAMING, None),
    ):
        found, parts = asyncio.run(_resident(setting.within(what), python, code, devices))
        yield Row(NAME, f"resident set, {what}", "MB", found, aim=aim, notes=parts)
    peak, notes = asyncio.run(_draining(setting.within("draining"), python, code))
    what = f"largest ever, draining {setting.size(_HOURS, 1)} h"
    yield Row(NAME, what, "MB", (peak,), aim=_DRAINING, notes=notes)


def _installed(folder: Path, python: Path) -> Path:
    """The gateway's packages, copied and compiled."""
    for package in ("shared/wardlight_shared", "edge/wardlight_edge"):
        source = CHECKOUT / package
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, folder / source.name, ignore=ignored)
    command = [str(python), "-m", "compileall", "-q", str(folder)]
    subprocess.run(command, check=True, timeout=_COMPILE_S)
    return folder


async def _resident(
    setting: Setting, python: Path, code: Path, kinds: Sequence[tuple[str, str]]
) -> tuple[tuple[float, ...], dict[str, float]]:
    """Resident set in MB after a while, some samples; and what it is made of."""
    wait_s = setting.size(30, 2)
    async with AsyncExitStack() as stack:
        site = await stack.enter_async_context(Site(setting.folder, gateways=[_GATEWAY]))
        await _start_cloud(site)
        bus_dir = stack.enter_context(tempfile.TemporaryDirectory(prefix="wardlight-"))
        port = stack.enter_context(PtyPort(site.folder.devices / "silent-line"))
        radio = await start_bluetooth(site, Path(bus_dir), kinds)
        line = DemoDevice("serial:bed", "nonin-xpod", "", port=str(port.path))
        devices = [*radio.devices, line]
        file = site.gateway_toml(_GATEWAY, devices, ["hci0"])
        pid = await _start_gateway(site, python, file, {**radio.environment, _PATH: str(code)})
        setting.say(f"{len(devices)} devices for {wait_s} s")
        await asyncio.sleep(wait_s)
        samples = []
        for _ in range(_SAMPLES):
            samples.append(status_mb(pid, "VmRSS"))
            await asyncio.sleep(1.0)
        return tuple(samples), parts_mb(pid)


async def _draining(setting: Setting, python: Path, code: Path) -> tuple[float, dict[str, float]]:
    """Largest resident set in MB while a backlog leaves; and what it is made of at the end."""
    hours = setting.size(_HOURS, 1)
    async with Site(setting.folder, gateways=[_GATEWAY]) as site:
        await _start_cloud(site)
        file = site.gateway_toml(_GATEWAY)
        setting.say(f"filling an outbox with {hours} h of 10 readings/s")
        settings = edge_config.load(file)
        backlog = await fill(settings, 60 * hours, lambda number: Ward(number, 5, 5))
        setting.say(f"draining {backlog.readings:,} readings")
        started = time.monotonic()
        pid = await _start_gateway(site, python, file, {_PATH: str(code)})
        await _until_empty(settings.data_dir)
        took_s = time.monotonic() - started
        notes = {**parts_mb(pid), "readings": float(backlog.readings), "seconds": round(took_s, 1)}
        return status_mb(pid, "VmHWM"), notes


async def _start_cloud(site: Site) -> None:
    await site.start_database()
    await site.start_broker()
    await (await site.open_store()).close()
    await site.start_collector()


async def _start_gateway(site: Site, python: Path, file: Path, env: Mapping[str, str]) -> int:
    """Start the gateway; its process id once it is connected to the broker."""

    async def is_ready() -> bool:
        return await is_connected(file.parent / "data")

    command = [str(python), "-m", "wardlight_edge", "run", "--config", str(file)]
    return await site.start(Child(name="gateway", command=command, env=env, ready=is_ready))


async def _until_empty(data_dir: Path) -> None:
    """Return when nothing waits in the outbox. Errors: TimeoutError."""
    async with asyncio.timeout(_DRAIN_S):
        while True:
            found = await snapshot(data_dir)
            if found is not None and found.outbox.settled and not found.outbox.records:
                return
            await asyncio.sleep(_POLL_S)
