"""From a gateway's outbox to committed rows and the acknowledgement, against a bare COPY.

ours      gateway process (outbox, uplink) -> nats-server with TLS -> `wardlight-cloud collect` ->
          PostgreSQL; readings a second from the uplink's start to the last record settled
baseline  copying.py: the same rows into the same table by COPY, no more than that
All of it runs on this machine's cores at once, as on one small server.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from wardlight_edge import config as edge_config
from wardlight_lab.bench.backlog_file import Backlog, fill
from wardlight_lab.bench.copying import copied_rate, count
from wardlight_lab.bench.draining import Drained, drain
from wardlight_lab.bench.figures import Aim, Row
from wardlight_lab.bench.setting import Setting, Unsound
from wardlight_lab.bench.site import Site
from wardlight_lab.bench.ward import Ward

NAME: Final = "ingest"
_RATE: Final = Aim(20_000)
_RATIO: Final = Aim(0.5, of_ratio=True)
_ROUNDS: Final = 3
_COPY: Final = "asyncpg COPY of the same rows into the same table, 5,000 a transaction"


def measure(setting: Setting) -> Iterator[Row]:
    """The rows of this measurement."""
    rounds = setting.size(_ROUNDS, 1)
    streams, events = asyncio.run(_Rounds(setting, rounds).all())
    for what, found in (("streams and events", streams), ("events alone", events)):
        ours = tuple(one.rate for one, _ in found)
        copied = tuple(rate for _, rate in found)
        notes = _notes([one for one, _ in found])
        what = f"outbox to commit and ack, {what}"
        if found is events:
            yield Row(NAME, what, "/s", ours, copied, _COPY, notes=notes)
            continue
        yield Row(NAME, what, "/s", ours, aim=_RATE, notes=notes)
        yield Row(NAME, "the same beside a bare COPY", "/s", ours, copied, _COPY, _RATIO)


Found = list[tuple[Drained, float]]


class _Rounds:
    """Rounds on one site; a gateway, its devices and so its series are new in each."""

    def __init__(self, setting: Setting, rounds: int) -> None:
        self._setting = setting
        self._names = [f"gw-{kind}-{turn}" for kind in ("mix", "events") for turn in range(rounds)]
        self._rounds = rounds

    async def all(self) -> tuple[Found, Found]:
        """Streams with some events, then events alone."""
        async with Site(self._setting.folder, gateways=self._names) as site:
            await site.start_database()
            await site.start_broker()
            await (await site.open_store()).close()
            await site.start_collector()
            found = [await self._round(site, name, place) for place, name in enumerate(self._names)]
        return found[: self._rounds], found[self._rounds :]

    async def _round(self, site: Site, name: str, place: int) -> tuple[Drained, float]:
        is_mix, label = place < self._rounds, f"{place:04X}"
        file = site.gateway_toml(name)
        backlog = await (self._mix if is_mix else self._events)(file, label)
        self._setting.say(f"{name}: {backlog.readings:,} readings in {backlog.records:,} records")
        drained = await drain(site, file, backlog)
        stored = await count(site.dsn, name)
        if stored != backlog.readings:
            raise Unsound(f"{stored} rows stored of {backlog.readings} readings")
        return drained, await copied_rate(site.dsn, name, place)

    async def _mix(self, file: Path, label: str) -> Backlog:
        minutes = self._setting.size(300, 20)
        return await fill(
            edge_config.load(file), minutes, lambda number: Ward(number, 10, 10, label=label)
        )

    async def _events(self, file: Path, label: str) -> Backlog:
        minutes = self._setting.size(600, 5)
        return await fill(
            edge_config.load(file),
            minutes,
            lambda number: Ward(number, 0, 60, cuff_every_min=1, label=label),
        )


def _notes(found: list[Drained]) -> dict[str, Any]:
    """Where the time went: CPU seconds by process in the first round, and how long it took."""
    first = found[0]
    return {
        "readings": first.backlog.readings,
        "records": first.backlog.records,
        "seconds": round(first.report.seconds, 2),
        "connecting_seconds": round(first.report.connected - first.report.started, 2),
        "cpu_seconds": first.cpu_s,
        "gateway_peak_mb": round(first.report.peak_mb, 1),
    }
