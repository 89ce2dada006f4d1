"""Commands on DICOM: the process, its nodes."""

import argparse
import asyncio
from pathlib import Path
from typing import Any, Final

from wardlight_cloud.cli import forwarding
from wardlight_cloud.cli.dicom_arguments import (
    ae_title,
    fingerprint,
    is_address,
    network,
    port,
)
from wardlight_cloud.cli.on_store import command
from wardlight_cloud.cli.tables import show
from wardlight_cloud.config import Settings
from wardlight_cloud.store.base import Store
from wardlight_cloud.store.forwarding import DicomNode, Right
from wardlight_shared.errors import ConfigError

_RIGHTS: Final[tuple[Right, ...]] = ("query", "retrieve")


def add_commands(commands: Any, config: argparse.ArgumentParser) -> None:
    """Add the parsers of these commands."""
    text = "serve query/retrieve (C-FIND, C-MOVE, C-GET) and forward, until SIGTERM or Ctrl-C"
    dicom = commands.add_parser("dicom", parents=[config], help=text, description=text)
    dicom.add_argument(
        "--metrics-port", type=int, metavar="PORT",
        help="serve Prometheus metrics of this process on 127.0.0.1:PORT",
    )  # fmt: skip
    dicom.set_defaults(command=_serve)
    things = dicom.add_subparsers(metavar="THING", required=False)
    within = _given_before_or_after()
    _node(things, within)
    forwarding.add_commands(things, within)


def _given_before_or_after() -> argparse.ArgumentParser:
    """The same options after a sub command; what is not given there stays as given before."""
    made = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    made.add_argument("--config", type=Path, metavar="FILE", help="settings file")
    made.add_argument("--env-file", type=Path, metavar="FILE", help="read WARDLIGHT_* from it too")
    return made


def _serve(settings: Settings, options: argparse.Namespace) -> int:
    # Imported late, as in processes.py.
    from wardlight_cloud import dicom

    asyncio.run(dicom.run(settings, metrics_port=options.metrics_port))
    return 0


# -- nodes


def _node(things: Any, config: argparse.ArgumentParser) -> None:
    node = things.add_parser("node", help="application entities that may call, or are called")
    steps = node.add_subparsers(metavar="STEP", required=True)
    add = command(steps, config, "add", "add a node, or replace it")
    add.add_argument("ae_title", type=ae_title, metavar="AE_TITLE")
    add.add_argument("host", help="address, or name where it is only called")
    add.add_argument("port", nargs="?", type=port, help="where it listens; none: it only calls")
    add.add_argument(
        "--from", dest="networks", type=network, action="append", default=[], metavar="NETWORK",
        help="its calls come from here, as 192.0.2.0/24; default: HOST alone",
    )  # fmt: skip
    add.add_argument("--tls", action="store_true", help="it is called with TLS")
    add.add_argument(
        "--fingerprint", type=fingerprint, metavar="SHA256",
        help="SHA-256 of the certificate it must show: openssl x509 -noout -fingerprint -sha256",
    )  # fmt: skip
    add.add_argument(
        "--may", action="append", choices=(*_RIGHTS, "nothing"),
        help="what it may ask for; default: query and retrieve",
    )  # fmt: skip
    add.set_defaults(action=_add_node)
    command(steps, config, "list", "all nodes").set_defaults(action=_list_nodes)
    remove = command(steps, config, "remove", "remove a node")
    remove.add_argument("ae_title", metavar="AE_TITLE")
    remove.set_defaults(action=_remove_node)


async def _add_node(store: Store, options: argparse.Namespace) -> int:
    if not options.networks and not is_address(options.host) and options.may != ["nothing"]:
        raise ConfigError(
            f"{options.host}: calls are checked by address; give --from NETWORK, or --may nothing "
            "for a node that is only called"
        )
    rights: tuple[Right, ...] = tuple(each for each in _RIGHTS if each in (options.may or _RIGHTS))
    node = DicomNode(
        options.ae_title, options.host, options.port, tuple(options.networks), options.tls,
        options.fingerprint, rights,
    )  # fmt: skip
    await store.put_node(node)
    print(f"{node.ae_title} may {' and '.join(rights) or 'ask for nothing'}")
    return 0


async def _list_nodes(store: Store, options: argparse.Namespace) -> int:
    show(
        ("AE title", "host", "port", "calls from", "TLS", "certificate", "may"),
        [
            (
                each.ae_title, each.host, each.port, ", ".join(each.networks) or each.host,
                each.tls, each.fingerprint and each.fingerprint.hex()[:16], ", ".join(each.rights),
            )
            for each in await store.nodes()
        ],
    )  # fmt: skip
    return 0


async def _remove_node(store: Store, options: argparse.Namespace) -> int:
    if not await store.remove_node(options.ae_title):
        raise ConfigError(f"there is no node {options.ae_title}")
    print(f"{options.ae_title} is removed")
    return 0
