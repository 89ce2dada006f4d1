"""Commands on gateways: who is let in, here and at the broker, and their devices."""

import argparse
import asyncio
from typing import Any

from wardlight_cloud.cli.assigning import add_commands as add_assigning
from wardlight_cloud.cli.on_store import PAGE, all_pages, command
from wardlight_cloud.cli.tables import show
from wardlight_cloud.store.base import Store
from wardlight_shared.errors import ConfigError


def add_commands(commands: Any, config: argparse.ArgumentParser) -> None:
    """Add the parsers of these commands."""
    gateway = commands.add_parser("gateway", help="add, disable and list gateways; their devices")
    steps = gateway.add_subparsers(metavar="STEP", required=True)
    for name, text, action in (
        ("add", "let a gateway in (its certificate has this name)", _add),
        ("disable", "refuse a gateway from now on", _disable),
    ):
        step = command(steps, config, name, text)
        step.add_argument("gateway", help="3 to 32 of a-z, 0-9 and '-'")
        step.set_defaults(action=action)
    text = "write the broker's permissions anew, as `add` and `disable` do, and put them in force"
    command(steps, config, "permissions", text).set_defaults(action=_permit)
    command(steps, config, "list", "all gateways").set_defaults(action=_list)
    command(steps, config, "devices", "all devices").set_defaults(action=_list_devices)
    add_assigning(steps, config)


async def _add(store: Store, options: argparse.Namespace) -> int:
    from wardlight_cloud.security.roles import Role

    if not Role.GATEWAY.accepts(options.gateway):
        raise ConfigError(
            f"{options.gateway!r} is no name of a gateway: 3 to 32 of a-z, 0-9 and '-', "
            "and not the start of another role's names"
        )
    await store.put_gateway(options.gateway)
    return await _permit(store, options)


async def _disable(store: Store, options: argparse.Namespace) -> int:
    known = {gateway.gateway for gateway in await store.gateways()}
    if options.gateway not in known:
        raise ConfigError(f"there is no gateway {options.gateway!r}; see `gateway list`")
    await store.put_gateway(options.gateway, enabled=False)
    return await _permit(store, options)


async def _permit(store: Store, options: argparse.Namespace) -> int:
    # Imported late, as in processes.py.
    from wardlight_cloud.security.broker_permitting import permit

    enabled = [each.gateway for each in await store.gateways() if each.enabled]
    print(await asyncio.to_thread(permit, options.settings.broker, enabled))
    return 0


async def _list(store: Store, options: argparse.Namespace) -> int:
    show(
        ("gateway", "enabled", "online", "last seen", "software"),
        [
            (each.gateway, each.enabled, each.online, each.last_seen_at, each.software)
            for each in await store.gateways()
        ],
    )
    return 0


async def _list_devices(store: Store, options: argparse.Namespace) -> int:
    found = await all_pages(lambda after: store.devices(count=PAGE, after=after))
    show(
        ("device", "gateway", "last seen", "battery %"),
        [(each.identity, each.gateway, each.last_seen_at, each.battery_percent) for each in found],
    )
    return 0
