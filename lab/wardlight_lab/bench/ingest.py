"""End to end: from the gateway's outbox to committed rows and the ack, all on this machine.

ours      a gateway process (the product's outbox and uplink, backlog on its disk), nats-server with
          TLS and client certificates, a collector process, PostgreSQL; from the first connection to
          the last ack. The rows are counted in the database afterwards.
baseline  bare COPY (binary, made ready before) of the very rows into the same table with the same
          key, 5,000 rows a transaction, same server, same settings
backlog   72 h of 10 readings/s in 60 s blocks, while a cuff goes on measuring: time to the last
          ack, and the time from the append of each live event to its ack
"""

import asyncio
from collections.abc import Iterator
from typing import Any, Final

from wardlight_lab.bench.figures import Aim, Row, quantile
from wardlight_lab.bench.ingest_world import IngestWorld
from wardlight_lab.bench.setting import Setting
from wardlight_shared.errors import StorageError

NAME: Final = "ingest"
_CHUNK_ROWS: Final = 5000
_ROUNDS: Final = 3
_RATE: Final = Aim(20_000)
_RATIO: Final = Aim(0.5, of_ratio=True)
_BACKLOG_S: Final = Aim(300, at_least=False)
_LIVE_S: Final = Aim(2, at_least=False)
_LIVE_EVERY_S: Final = 0.2


def measure(setting: Setting) -> Iterator[Row]:
    """The rows of this measurement."""
    for load, minutes, what in (
        ("streams", setting.size(720, 3), "1 Hz streams in 60 s blocks"),
        ("events", setting.size(100, 1), "blood pressure events (4 readings)"),
    ):
        yield from asyncio.run(_throughput(setting.within(load), load, minutes, what))
    hours = setting.size(72, 1)
    yield from asyncio.run(_backlog(setting.within("backlog"), hours))


async def _throughput(setting: Setting, load: str, minutes: int, what: str) -> list[Row]:
    rounds = setting.size(_ROUNDS, 1)
    names = [f"gw-{load}-{number}" for number in range(rounds)]
    rates: list[float] = []
    copies: list[float] = []
    notes: dict[str, Any] = {}
    for name in names:
        async with IngestWorld(setting.within(name).folder, [name]) as world:
            rate, notes = await _drained(world, name, load, minutes)
            rates.append(rate)
            copies.append(await world.copy_again(_CHUNK_ROWS))
    against = f"bare COPY, {_CHUNK_ROWS} rows a transaction"
    ours, base = tuple(rates), tuple(copies)
    return [
        Row(NAME, f"outbox to ack, {what}", "readings/s", ours, aim=_RATE, notes=notes),
        Row(NAME, "   ... beside COPY", "readings/s", ours, base, against, _RATIO),
    ]


async def _backlog(setting: Setting, hours: int) -> list[Row]:
    name = "gw-backlog"
    async with IngestWorld(setting.folder, [name]) as world:
        _, notes = await _drained(
            world, name, "streams", hours * 60, "--live-every", str(_LIVE_EVERY_S)
        )
    live_s = [ms / 1000 for ms in notes.pop("live_ms")] or [float("nan")]
    slow_s = quantile(live_s, 0.95)
    notes |= {"live": len(live_s), "live_p50_s": quantile(live_s, 0.5), "live_max_s": max(live_s)}
    return [
        Row(
            NAME, f"backlog of {hours} h, 10 readings/s", "s", (notes["seconds"],),
            aim=_BACKLOG_S, notes=notes,
        ),
        Row(NAME, "live meanwhile, append to ack, p95", "s", (slow_s,), aim=_LIVE_S),
    ]  # fmt: skip


async def _drained(
    world: IngestWorld, name: str, load: str, minutes: int, *more: str
) -> tuple[float, dict[str, Any]]:
    """Readings a second from outbox to ack, and the facts of it."""
    gateway = await world.gateway(name, "--load", load, "--minutes", str(minutes), *more)
    filled = await gateway.answer()
    before = world.cpu_s(gateway)
    gateway.go()
    drained = await gateway.answer()
    after = world.cpu_s(gateway)
    await gateway.end()
    rows = await world.rows()
    if rows < filled["readings"]:
        raise StorageError(f"{rows} readings in the store, {filled['readings']} were sent")
    cpu = {part: round(after[part] - before[part], 2) for part in before}
    facts = {**filled, **drained, "rows": rows, "cpu_s": cpu}
    return filled["readings"] / drained["seconds"], facts
