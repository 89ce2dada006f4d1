"""The world under chaos: PostgreSQL, broker, two collectors, two gateways, faulty links.

The same product processes as in production. One gateway is the daemon with oximeters on its serial
ports (daemon.py); in the other, outbox and uplink are loaded with numbered records (load.py).
Everything runs durably (fsync on) in one data folder.
"""

import asyncio
import random
import sys
import tempfile
from collections.abc import Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import asyncpg

from wardlight_cloud.config import load as load_cloud
from wardlight_cloud.private_file import write_private
from wardlight_cloud.security.broker import BrokerPermissions
from wardlight_cloud.security.ca import CertificateAuthority
from wardlight_cloud.security.roles import Role
from wardlight_cloud.store.base import LedgerReport, Store
from wardlight_cloud.store.embedded import EmbeddedPostgres
from wardlight_cloud.store.embedded.ports import free_loopback_port
from wardlight_cloud.store.open import open_store
from wardlight_lab.broker import NatsServer
from wardlight_lab.chaos.bedside import Bedside
from wardlight_lab.chaos.daemon import GATEWAY as BEDSIDE_GATEWAY
from wardlight_lab.chaos.daemon import BedsideGateway
from wardlight_lab.chaos.damage import damage
from wardlight_lab.chaos.department import Department
from wardlight_lab.chaos.department_account import images_of, steps_of
from wardlight_lab.chaos.ledger import accepted
from wardlight_lab.chaos.load import DEVICE, STREAM
from wardlight_lab.chaos.proxy import FaultyLink
from wardlight_lab.chaos.radio import NAME as RADIO
from wardlight_lab.chaos.radio import Radio, is_possible
from wardlight_lab.chaos.tables import Tables
from wardlight_lab.chaos.verdict import Verdict, judge
from wardlight_lab.demo.settings_files import cloud_settings, gateway_settings
from wardlight_lab.supervise import Child, Supervisor, postgres_child
from wardlight_shared.errors import StorageError

GATEWAY: Final = "gw-chaos"
COLLECTORS: Final = ("collector-a", "collector-b")
LINKS: Final = ("gateway link", "daemon link", "collector link")
_LEASE: Final = "lease_ttl_s = 3\n"  # the default of 5 s would only make freezing slower
_LISTEN_S: Final = 60.0
_ASKED_S: Final = 10.0
_RECOVERY_S: Final = 120.0
_DRAIN_S: Final = 240.0
_POLL_S: Final = 0.5
_QUIET_S: Final = 6.0


class World:
    """``async with World(folder, rate) as world: world.supervisor.kill("broker")``."""

    def __init__(self, folder: Path, rate: float) -> None:
        self._folder = folder.absolute()
        self._rate = rate
        self._stack = AsyncExitStack()
        self.supervisor = Supervisor(self._folder, handle_signals=False)
        self.links: dict[str, FaultyLink] = {}
        self.ledger_file = self._folder / "accepted.ledger"
        self._dsn = ""
        self._next_damage: random.Random | None = None
        self.damages: list[str] = []
        """How the gateway's outbox was damaged, each time."""
        self.bedside = Bedside(self._folder / "serial")
        self.daemon = BedsideGateway(self._folder / "bedside", self.bedside, None)
        self._dicom_port = free_loopback_port()
        self.department = Department(self._dicom_port, self._folder / "objects", self._on_index)
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __aenter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._loop = asyncio.get_running_loop()
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    async def _start(self) -> None:
        server = EmbeddedPostgres(self._folder / "postgres")
        await asyncio.to_thread(server.prepare)
        self._stack.callback(server.release)
        self._dsn = server.dsn
        authority = await asyncio.to_thread(CertificateAuthority.open, self._folder / "pki")
        permissions = BrokerPermissions(gateways=[GATEWAY, BEDSIDE_GATEWAY], collectors=COLLECTORS)
        broker = NatsServer(self._folder / "broker", authority, permissions)
        await asyncio.to_thread(broker.prepare)
        for name in LINKS:
            link = FaultyLink("127.0.0.1", broker.port)
            self.links[name] = await self._stack.enter_async_context(link)
        await self._stack.enter_async_context(self.bedside)
        short = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="wardlight-"))
        await self._stack.enter_async_context(self.supervisor)
        await self.supervisor.start(postgres_child(server))
        await self.supervisor.start(broker.child())
        for name in COLLECTORS:
            await self._start_collector(name, authority)
        await self._start_gateway(authority)
        await self._start_daemon(authority, Path(short))

    async def _start_daemon(self, authority: CertificateAuthority, short: Path) -> None:
        radio = Radio(self._folder / "radio", short) if is_possible() else None
        if radio is not None:
            await self.supervisor.start(radio.child())
        self.daemon = BedsideGateway(self._folder / "bedside", self.bedside, radio)
        credentials = authority.ensure_client(BEDSIDE_GATEWAY, Role.GATEWAY)
        self.daemon.prepare(
            self.links["daemon link"].port,
            credentials,
            self._dicom_port,
            self.department.settings(),
        )
        await self.supervisor.start(self.daemon.child())
        await self.supervisor.start(self.daemon.imaging())
        self._stack.callback(self.department.close)
        self.department.start()
        await self.daemon.listening(_LISTEN_S)

    async def _start_collector(self, name: str, authority: CertificateAuthority) -> None:
        file = self._folder / f"{name}.toml"
        credentials = authority.ensure_client(name, Role.COLLECTOR)
        port = self.links["collector link"].port
        text = cloud_settings(name, self._folder, self._dsn, port, 0, credentials)
        write_private(file, text.replace("[http]\n", f"{_LEASE}[http]\n"))
        if name == COLLECTORS[0]:
            store = await open_store(load_cloud(file))
            await store.put_gateway(GATEWAY)
            await store.put_gateway(BEDSIDE_GATEWAY)
            await store.close()
        await self.supervisor.start(
            Child(name=name, command=_module("wardlight_cloud", "collect", "--config", file))
        )

    async def _start_gateway(self, authority: CertificateAuthority) -> None:
        file = self._folder / "gateway" / "edge.toml"
        file.parent.mkdir(exist_ok=True, mode=0o700)
        credentials = authority.ensure_client(GATEWAY, Role.GATEWAY)
        port = self.links["gateway link"].port
        write_private(file, gateway_settings(GATEWAY, port, credentials, [], []))
        command = _module(
            "wardlight_lab.chaos.load",
            *("--config", file, "--ledger", self.ledger_file, "--rate", self._rate),
        )
        before = self._before_gateway
        child = Child(name="gateway", command=command, before_start=before, stop_within_s=30.0)
        await self.supervisor.start(child)

    def _on_index(self, uids: Iterable[str]) -> dict[str, bytes] | None:
        """For the department's thread; None while PostgreSQL is down."""
        if self._loop is None:
            return None
        asked = asyncio.run_coroutine_threadsafe(self._indexed(uids), self._loop)
        try:
            return asked.result(_ASKED_S)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            asked.cancel()
            return None

    async def _indexed(self, uids: Iterable[str]) -> dict[str, bytes]:
        async with Tables(self._dsn) as tables:
            return dict(await tables.instances_of(uids))

    def damage_next(self, seed: float) -> None:
        """Before the gateway starts the next time, its outbox is damaged."""
        self._next_damage = random.Random(seed)

    async def is_told(self) -> bool:
        """Whether the store knows of every damage so far what became of the records."""
        if not self.damages:
            return True
        try:
            store = await open_store(load_cloud(self._folder / f"{COLLECTORS[0]}.toml"))
            try:
                report = await store.ledger_report(GATEWAY)
            finally:
                await store.close()
        except StorageError:
            return False
        epochs = [append.epoch for append in accepted(self.ledger_file)]
        past = [ledger for ledger in report if ledger.epoch != epochs[-1]]
        known = {ledger.epoch for ledger in past}
        is_complete = known >= {*epochs} - {epochs[-1], 0}
        return is_complete and not any(ledger.missing for ledger in past)

    async def _before_gateway(self) -> None:
        random_numbers, self._next_damage = self._next_damage, None
        if random_numbers is not None:
            self.damages.append(damage(self._folder / "gateway/data/outbox.sqlite", random_numbers))

    async def verdict(self) -> Verdict:
        """Stop load and devices, wait until everything accepted is settled, compare."""
        for link in self.links.values():
            link.mend()
        # The daemon names what its last kill took with the first sample that follows.
        await self.daemon.listening(_LISTEN_S)
        await self.bedside.stop()
        if RADIO in self.supervisor.status():
            await self.supervisor.stop(RADIO)
        self.ledger_file.with_suffix(".pause").touch()
        await asyncio.to_thread(self.department.stop)
        store = await self._opened_store()
        try:
            report = await self._settled(store)
        finally:
            await store.close()
        settings = load_cloud(self._folder / f"{COLLECTORS[0]}.toml")
        async with Tables(self._dsn) as tables:
            return judge(
                accepted(self.ledger_file),
                await tables.numbers((DEVICE, STREAM)),
                await self.daemon.streams(tables),
                await self.daemon.events(tables),
                await images_of(self.department, tables, settings),
                await steps_of(self.department, tables),
                named=await tables.named(GATEWAY),
                damages=self.damages,
                missing_records=sum(last - first + 1 for r in report for first, last in r.missing),
                rejected=sum(r.rejected for r in report),
                quarantined=await tables.quarantined(),
            )

    async def _opened_store(self) -> Store:
        """The store; a database that was killed last needs a while to recover."""
        settings = load_cloud(self._folder / f"{COLLECTORS[0]}.toml")
        async with asyncio.timeout(_RECOVERY_S):
            while True:
                try:
                    return await open_store(settings)
                except StorageError:
                    await asyncio.sleep(_POLL_S)

    async def _settled(self, store: Store) -> tuple[LedgerReport, ...]:
        """The report once nothing is missing and the numbers stand still; or the last one."""
        report: tuple[LedgerReport, ...] = ()
        before: object = None
        quiet = 0
        for _ in range(int(_DRAIN_S / _POLL_S)):
            await asyncio.sleep(_POLL_S)
            report = await store.ledger_report()
            now = [(r.epoch, r.recorded, r.stored) for r in report]
            is_whole = bool(report) and not any(r.missing for r in report)
            quiet = quiet + 1 if is_whole and now == before else 0
            before = now
            # Longer than a line is silent before its running block is ended.
            is_quiet = quiet * _POLL_S >= _QUIET_S
            if is_quiet and self._outbox_is_empty() and await self.daemon.is_empty():
                break
        return report

    def _outbox_is_empty(self) -> bool:
        """What the gateway last wrote of itself: nothing waits."""
        file = self.ledger_file.with_suffix(".waiting")
        return file.exists() and file.read_text(encoding="ascii").strip() == "0"


def _module(name: str, *arguments: str | float | Path) -> list[str]:
    return [sys.executable, "-m", name, *map(str, arguments)]
