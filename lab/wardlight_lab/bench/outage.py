"""A gateway comes back after 72 h at 10 readings/s: how long that takes, and what live waits.

ours   the way of end_to_end.py, with one live event a second accepted during the drain; its latency
       is from `append` returning (accepted) to the time of its commit (commit_log.stored_at)
Aims   the whole in less than 5 minutes, live p95 under 2 s meanwhile
"""

import asyncio
from collections.abc import Iterator
from typing import Final

import asyncpg

from wardlight_edge import config as edge_config
from wardlight_lab.bench.backlog_file import fill
from wardlight_lab.bench.copying import count
from wardlight_lab.bench.draining import Drained, drain
from wardlight_lab.bench.figures import Aim, Row, quantile
from wardlight_lab.bench.gateway import LIVE_DEVICE
from wardlight_lab.bench.setting import Setting, Unsound
from wardlight_lab.bench.site import Site
from wardlight_lab.bench.ward import Ward

NAME: Final = "outage"
_HOURS: Final = 72
_LONGEST: Final = Aim(300, at_least=False)
_LIVE: Final = Aim(2, at_least=False)
_GATEWAY: Final = "gw-outage"
_LIVE_RATE: Final = 1.0

_COMMITS: Final = """
SELECT r.mantissa, extract(epoch FROM c.stored_at)::float8 AS stored_at
FROM reading AS r
INNER JOIN commit_log AS c USING (commit_seq)
INNER JOIN series AS s USING (series_id)
INNER JOIN device AS d USING (device_id)
WHERE d.identity = $1
"""


def measure(setting: Setting) -> Iterator[Row]:
    """The rows of this measurement."""
    drained, waits = asyncio.run(_outage(setting))
    hours = setting.size(_HOURS, 1)
    notes = {
        "readings": drained.backlog.readings,
        "records": drained.backlog.records,
        "readings_a_second": round(drained.rate),
        "cpu_seconds": drained.cpu_s,
        "gateway_peak_mb": round(drained.report.peak_mb, 1),
        "live_events": len(waits),
    }
    seconds = (drained.report.seconds,)
    yield Row(
        NAME, f"{hours} h of 10 readings/s, all settled", "s", seconds, aim=_LONGEST, notes=notes
    )
    p95 = (quantile(waits, 0.95),)
    yield Row(NAME, "live p95 meanwhile, accepted to committed", "s", p95, aim=_LIVE)
    yield Row(NAME, "live p50 meanwhile", "s", (quantile(waits, 0.5),))
    yield Row(NAME, "live longest meanwhile", "s", (max(waits),))


async def _outage(setting: Setting) -> tuple[Drained, list[float]]:
    minutes = 60 * setting.size(_HOURS, 1)
    async with Site(setting.folder, gateways=[_GATEWAY]) as site:
        await site.start_database()
        await site.start_broker()
        await (await site.open_store()).close()
        await site.start_collector()
        file = site.gateway_toml(_GATEWAY)
        setting.say("filling the outbox")
        backlog = await fill(edge_config.load(file), minutes, lambda number: Ward(number, 5, 5))
        setting.say(f"draining {backlog.readings:,} readings in {backlog.records:,} records")
        drained = await drain(site, file, backlog, live_rate=_LIVE_RATE)
        waits = await _waits(site.dsn, dict(drained.report.live))
        stored = await count(site.dsn, _GATEWAY)
    if stored < backlog.readings + len(waits):
        raise Unsound(f"{stored} rows stored of {backlog.readings} readings and live events")
    return drained, waits


async def _waits(dsn: str, accepted: dict[int, float]) -> list[float]:
    """Seconds from acceptance to commit of every live event."""
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(_COMMITS, LIVE_DEVICE)
    finally:
        await connection.close()
    committed = {row["mantissa"]: row["stored_at"] for row in rows}
    missing = sorted(accepted.keys() - committed.keys())
    if missing[1:]:  # the last one may still be on its way when the gateway stops
        raise Unsound(f"{len(missing)} live events are not in the store")
    return [committed[number] - at for number, at in accepted.items() if number in committed]
