"""Sends images and vital signs over one narrow link and says what each has cost the other.

First a while of vital signs alone, then the same while images go up and the link is cut again and
again; at the end the same images from another spool: a study that is sent again.

Vital signs are timed from acceptance on the gateway's disk to the collector's acknowledgement on
the gateway, which is longer than their way. Everything is the product: outbox, spool and uplink of
a gateway, broker with TLS, collector, PostgreSQL, object store; for images over HTTPS also the API
behind a TLS front. They share the one line with the broker's connection.
"""

import asyncio
import hashlib
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import msgspec

from wardlight_cloud.config import load as load_cloud
from wardlight_cloud.security.ca import CertificateAuthority
from wardlight_cloud.store.objects import open_objects
from wardlight_edge import config
from wardlight_edge.config import Settings, UplinkSettings
from wardlight_lab.bench.site import Site
from wardlight_lab.chaos.tables import Tables
from wardlight_lab.wan.front import TlsFront
from wardlight_lab.wan.gateway import gateway, put, until
from wardlight_lab.wan.instance import instance_file
from wardlight_lab.wan.link import NarrowLink

GATEWAY: Final = "gw-wan"
VITALS_LIMIT_S: Final = 2.0
AGAIN_LIMIT: Final = 0.03
_CUTS_OF_LIMIT_S: Final = 60.0
_STARTED_S: Final = 120.0
_FIRST: Final = 3  # vital signs that waited for the first connection


@dataclass(frozen=True, slots=True)
class Plan:
    """Octets of each image, the line, and how many vital signs a second go beside them.

    way  of the images; vital signs go over MQTT
    """

    images: tuple[int, ...] = (10_000_000,)
    bits_a_second: float = 256_000.0
    delay_s: float = 0.05
    cut_every_s: float = 60.0
    cuts_at_most: int = 1000
    rate: float = 2.0
    alone_s: float = 60.0
    way: Literal["mqtt", "https"] = "mqtt"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was measured.

    again         octets sent beyond those of the files, as a share of them
    line_share    how much of the line's rate was used while images went up
    known_octets  octets of the images that were sent when they came from another spool
    stored_right  objects with the octets of their file; ``entries`` of the index
    """

    plan: Plan
    cuts: int
    seconds: float
    alone_p50_s: float
    alone_p95_s: float
    beside_p50_s: float
    beside_p95_s: float
    beside_max_s: float
    records: int
    again: float
    line_share: float
    known_octets: int
    stored_right: int
    entries: int

    @property
    def again_limit(self) -> float:
        """A cut costs what is on its way: twice as many cuts, twice the octets."""
        return AGAIN_LIMIT * max(1.0, _CUTS_OF_LIMIT_S / self.plan.cut_every_s)

    @property
    def is_right(self) -> bool:
        """What no machine is too slow for: all is stored, and what is known costs nothing."""
        return self.known_octets == 0 and self.stored_right == self.entries == len(self.plan.images)

    @property
    def is_good(self) -> bool:
        """Whether every promise held, those with a clock among them."""
        return (
            self.is_right and self.beside_p95_s < VITALS_LIMIT_S and self.again <= self.again_limit
        )


async def campaign(folder: Path, plan: Plan) -> Outcome:
    """Run a plan in a folder."""
    async with Site(folder, gateways=[GATEWAY]) as site:
        await site.start_database()
        await site.start_broker()
        await (await site.open_store()).close()
        await site.start_collector()
        settings = config.load(site.gateway_toml(GATEWAY))
        async with AsyncExitStack() as stack:
            line = _line(settings.uplink.host, settings.uplink.port, plan)
            await stack.enter_async_context(line)
            uplink = msgspec.structs.replace(settings.uplink, port=line.port)
            if plan.way == "https":
                uplink = await _over_https(site, uplink, line, plan, stack)
            narrow = msgspec.structs.replace(settings, uplink=uplink)
            return await _measured(site, narrow, line, plan)


async def _over_https(
    site: Site, uplink: UplinkSettings, line: NarrowLink, plan: Plan, stack: AsyncExitStack
) -> UplinkSettings:
    """The API behind a TLS front, which is reached over the same line."""
    await site.start_api()
    authority = await asyncio.to_thread(CertificateAuthority.open, site.folder.pki)
    front = await stack.enter_async_context(TlsFront(authority, site.http_port))
    way = await stack.enter_async_context(_line("127.0.0.1", front.port, plan, beside=line))
    url = f"https://127.0.0.1:{way.port}"
    return msgspec.structs.replace(uplink, images="https", images_url=url)


def _line(host: str, port: int, plan: Plan, beside: NarrowLink | None = None) -> NarrowLink:
    octets_a_second = plan.bits_a_second / 8
    return NarrowLink(
        host, port, bytes_a_second=octets_a_second, delay_s=plan.delay_s, beside=beside
    )


async def _measured(site: Site, settings: Settings, line: NarrowLink, plan: Plan) -> Outcome:
    files = [instance_file(size, number) for number, size in enumerate(plan.images)]
    size = sum(len(octets) for _, octets in files)
    longest_s = 120 + 8 * size * 8 / plan.bits_a_second
    async with gateway(settings, plan.rate) as (images, vitals):
        await until(lambda: bool(vitals.taken), _STARTED_S)
        start = len(vitals.taken) + _FIRST
        await asyncio.sleep(plan.alone_s)
        await until(lambda: len(vitals.taken) > start, _STARTED_S)
        alone, first = vitals.taken[start:], len(vitals.taken)
        began_s, up_before = time.monotonic(), line.up.octets
        await asyncio.to_thread(put, settings, files)
        cuts = line.cut_every(plan.cut_every_s, plan.cuts_at_most)
        cutting = asyncio.create_task(cuts, name="link is cut")
        await until(lambda: images.delivered == len(files), longest_s)
        cutting.cancel()
        seconds = time.monotonic() - began_s
        used = 8 * (line.up.octets - up_before) / (seconds * plan.bits_a_second)
        beside, octets = vitals.taken[first:], images.octets
    known = await _sent_again(settings, files, longest_s)
    right, entries = await _stored(site, files)
    return Outcome(
        plan, line.cuts, round(seconds, 1), _quantile(alone, 0.5), _quantile(alone, 0.95),
        _quantile(beside, 0.5), _quantile(beside, 0.95), round(max(beside), 3), len(beside),
        round(octets / size - 1, 5), round(used, 3), known, right, entries,
    )  # fmt: skip


async def _sent_again(
    settings: Settings, files: Sequence[tuple[str, bytes]], longest_s: float
) -> int:
    """Octets that the same files cost from a spool that knows nothing of them."""
    other = msgspec.structs.replace(settings, data_dir=settings.data_dir.parent / "again")
    await asyncio.to_thread(put, other, files)
    async with gateway(other, 1.0) as (images, _):
        await until(lambda: images.delivered == len(files), longest_s)
        return images.octets


async def _stored(site: Site, files: Sequence[tuple[str, bytes]]) -> tuple[int, int]:
    """(objects with the octets of their file, instances on the index)."""
    objects = await open_objects(load_cloud(site.folder.cloud_toml))
    try:
        right = 0
        for _, octets in files:
            right += await objects.read(hashlib.sha256(octets).digest()) == octets
        total = len([each async for each in objects.hashes()])
    finally:
        await objects.close()
    async with Tables(site.dsn) as tables:
        return right if total == len(files) else 0, len(await tables.instances())


def _quantile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3)
