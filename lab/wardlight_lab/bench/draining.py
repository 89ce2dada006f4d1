"""One gateway of a site drains what was filled into its outbox, in a process of its own."""

import asyncio
from pathlib import Path
from typing import Final

import msgspec

from wardlight_lab.bench.backlog_file import Backlog
from wardlight_lab.bench.setting import Unsound
from wardlight_lab.bench.site import Site, module, spent
from wardlight_lab.supervise import Child
from wardlight_lab.supervise.process import log_tail

_POLL_S: Final = 0.1
_LONGEST_S: Final = 1800.0


class Report(msgspec.Struct, frozen=True):
    """What the gateway process has written; times in seconds since 1970."""

    started: float = 0.0
    connected: float = 0.0
    empty: float = 0.0
    peak_mb: float = 0.0
    live: list[tuple[int, float]] = []
    failed: str | None = None

    @property
    def seconds(self) -> float:
        """From the start of the uplink to the last acknowledgement taken from the outbox."""
        return self.empty - self.started


class Drained(msgspec.Struct, frozen=True):
    """One drain: the gateway's report, what was in the outbox, CPU seconds by process."""

    report: Report
    backlog: Backlog
    cpu_s: dict[str, float]

    @property
    def rate(self) -> float:
        """Readings a second, committed and acknowledged."""
        return self.backlog.readings / self.report.seconds


async def drain(
    site: Site, edge_toml: Path, backlog: Backlog, *, live_rate: float = 0.0
) -> Drained:
    """Start the gateway of these settings, wait until its outbox is empty, stop it.

    Errors  Unsound: the gateway failed; TimeoutError: not empty in half an hour
    """
    name = f"gateway {edge_toml.parent.name}"
    report_file = edge_toml.parent / "report.json"
    before = site.cpu_s()
    command = module(
        "wardlight_lab.bench.gateway", "--config", edge_toml, "--report", report_file,
        "--live-rate", live_rate,
    )  # fmt: skip
    await site.start(Child(name=name, command=command))
    async with asyncio.timeout(_LONGEST_S):
        while not report_file.exists():  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(_POLL_S)
    cpu_s = spent(before, site.cpu_s())
    await site.supervisor.stop(name)
    cpu_s["gateway"] = cpu_s.pop(name)
    report = msgspec.json.decode(report_file.read_bytes(), type=Report)
    if report.failed is not None:
        raise Unsound(f"the gateway failed with {report.failed}: {log_tail(site.log_of(name))}")
    return Drained(report, backlog, cpu_s)
