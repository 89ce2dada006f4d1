"""The world under chaos: PostgreSQL, broker, two collectors, one loaded gateway, cuttable links.

The same product processes as in production; only the gateway's devices are replaced by numbered
records (load.py). Everything runs durably (fsync on) in one data folder.
"""

import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from wardlight_cloud.config import load as load_cloud
from wardlight_cloud.private_file import write_private
from wardlight_cloud.security.broker import BrokerPermissions
from wardlight_cloud.security.ca import CertificateAuthority
from wardlight_cloud.security.roles import Role
from wardlight_cloud.store.base import LedgerReport, Store
from wardlight_cloud.store.embedded import EmbeddedPostgres
from wardlight_cloud.store.open import open_store
from wardlight_lab.broker import NatsServer
from wardlight_lab.chaos.load import DEVICE, STREAM, ledger_ranges
from wardlight_lab.chaos.proxy import CuttableLink
from wardlight_lab.chaos.verdict import Verdict, judge, stored_numbers
from wardlight_lab.demo.settings_files import cloud_settings, gateway_settings
from wardlight_lab.supervise import Child, Supervisor, postgres_child

GATEWAY: Final = "gw-chaos"
COLLECTORS: Final = ("collector-a", "collector-b")
_DRAIN_S: Final = 240.0
_POLL_S: Final = 0.5


class World:
    """``async with World(folder, rate) as world: world.supervisor.kill("broker")``."""

    def __init__(self, folder: Path, rate: float) -> None:
        self._folder = folder.absolute()
        self._rate = rate
        self._stack = AsyncExitStack()
        self.supervisor = Supervisor(self._folder, handle_signals=False)
        self.links: dict[str, CuttableLink] = {}
        self.ledger_file = self._folder / "accepted.ledger"
        self._dsn = ""

    async def __aenter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
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
        permissions = BrokerPermissions(gateways=[GATEWAY], collectors=COLLECTORS)
        broker = NatsServer(self._folder / "broker", authority, permissions)
        await asyncio.to_thread(broker.prepare)
        for name in ("gateway link", "collector link"):
            link = CuttableLink("127.0.0.1", broker.port)
            self.links[name] = await self._stack.enter_async_context(link)
        await self._stack.enter_async_context(self.supervisor)
        await self.supervisor.start(postgres_child(server))
        await self.supervisor.start(broker.child())
        for name in COLLECTORS:
            await self._start_collector(name, authority)
        await self._start_gateway(authority)

    async def _start_collector(self, name: str, authority: CertificateAuthority) -> None:
        file = self._folder / f"{name}.toml"
        credentials = authority.ensure_client(name, Role.COLLECTOR)
        port = self.links["collector link"].port
        text = cloud_settings(name, self._folder, self._dsn, port, 0, credentials)
        write_private(file, text)
        if name == COLLECTORS[0]:
            store = await open_store(load_cloud(file))
            await store.put_gateway(GATEWAY)
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
        await self.supervisor.start(Child(name="gateway", command=command, stop_within_s=30.0))

    async def verdict(self) -> Verdict:
        """Stop the load, wait until everything accepted is settled, compare."""
        for link in self.links.values():
            link.mend()
        self.ledger_file.with_suffix(".pause").touch()
        store = await open_store(load_cloud(self._folder / f"{COLLECTORS[0]}.toml"))
        try:
            report = await self._settled(store)
        finally:
            await store.close()
        stored = await stored_numbers(self._dsn, (DEVICE, STREAM))
        return judge(
            ledger_ranges(self.ledger_file),
            stored,
            missing_records=sum(last - first + 1 for r in report for first, last in r.missing),
            rejected=sum(r.rejected for r in report),
        )

    async def _settled(self, store: Store) -> tuple[LedgerReport, ...]:
        """The report once nothing is missing and the numbers stand still; or the last one."""
        report: tuple[LedgerReport, ...] = ()
        before: object = None
        quiet = 0
        for _ in range(int(_DRAIN_S / _POLL_S)):
            await asyncio.sleep(_POLL_S)
            report = await store.ledger_report(GATEWAY)
            now = [(r.epoch, r.recorded, r.stored) for r in report]
            is_whole = bool(report) and not any(r.missing for r in report)
            quiet = quiet + 1 if is_whole and now == before else 0
            before = now
            if quiet * _POLL_S >= 3 and self._outbox_is_empty():
                break
        return report

    def _outbox_is_empty(self) -> bool:
        """What the gateway last wrote of itself: nothing waits."""
        file = self.ledger_file.with_suffix(".waiting")
        return file.exists() and file.read_text(encoding="ascii").strip() == "0"


def _module(name: str, *arguments: str | float | Path) -> list[str]:
    return [sys.executable, "-m", name, *map(str, arguments)]
