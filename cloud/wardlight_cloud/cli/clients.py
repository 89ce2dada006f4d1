"""Commands on clients: programs and apps that read and write by tokens (docs/smart.md)."""

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from wardlight_cloud.cli.on_store import command
from wardlight_cloud.cli.tables import show
from wardlight_cloud.config import HttpSettings
from wardlight_cloud.store.authorization import ClientRow, Launch
from wardlight_cloud.store.base import Store
from wardlight_shared.errors import ConfigError

# Imported late, as in processes.py: keys and the web framework are not every command's business.

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_READ_ALL: Final = "system/*.rs"


def add_commands(commands: Any, config: argparse.ArgumentParser) -> None:
    """Add the parsers of these commands."""
    client = commands.add_parser("client", help="add, list and remove API clients and apps")
    steps = client.add_subparsers(metavar="STEP", required=True)
    _parse_add(command(steps, config, "add", "add a client, or replace what is known of it"))
    command(steps, config, "list", "all clients").set_defaults(action=_list)
    for name, text, action in (
        ("remove", "end a client and all its tokens", _remove),
        ("token", "give a client a new bearer token; the one before ends", _token),
    ):
        step = command(steps, config, name, text)
        step.add_argument("name")
        step.set_defaults(action=action)
    launch = command(steps, config, "launch", "make an address that opens an app with a patient")
    launch.add_argument("name")
    launch.add_argument("--patient", type=UUID, required=True, metavar="ID", help="id of Patient")
    launch.set_defaults(action=_launch)


def _parse_add(add: argparse.ArgumentParser) -> None:
    add.add_argument("name", help="its client_id: 1 to 64 of A-Z a-z 0-9 . _ -")
    add.add_argument(
        "--scope", action="append", default=[], metavar="SCOPE",
        help="what it may ask for, as system/Observation.rs; several by several --scope",
    )  # fmt: skip
    add.add_argument(
        "--jwks",
        metavar="FILE|URL",
        help="its public keys, or where they are: it proves by signatures who it is, and gets "
        "tokens that expire. Without this and --public it gets one bearer token",
    )
    add.add_argument(
        "--redirect-uri",
        action="append",
        default=[],
        metavar="URI",
        help="where users are sent back to: the client is an app that they open",
    )
    add.add_argument("--public", action="store_true", help="an app that can keep no key secret")
    add.add_argument("--launch-url", metavar="URL", help="where `client launch` opens the app")
    add.add_argument("--introspect", action="store_true", help="may look at tokens of any client")
    add.set_defaults(action=_add)


async def _add(store: Store, options: argparse.Namespace) -> int:
    client = _client(options)
    await store.put_registration(client)
    if client.has_keys or client.is_public:
        print(f"client_id: {client.name}")
        print(f"scopes: {' '.join(client.scopes)}")
        base = options.settings.http.base_url
        if base is None:
            print("http.base_url is not set: tokens are given to this machine only")
        else:
            print(f"FHIR (iss of launches, aud of apps): {base}/fhir")
            print(f"token endpoint (aud of assertions): {base}/oauth/token")
        return 0
    return await _give_token(store, client)


def _client(options: argparse.Namespace) -> ClientRow:
    from wardlight_cloud.security.access import CONTEXTS, permissions
    from wardlight_cloud.smart.authorize import check_redirect_uri, check_scope

    if _NAME.fullmatch(options.name) is None:
        raise ConfigError(
            f"{options.name!r} is no client_id: 1 to 64 of A-Z a-z 0-9 . _ -, first a letter or "
            "digit"
        )
    for scope in options.scope:
        _checked("--scope", scope, check_scope)
    for address in (*options.redirect_uri, *filter(None, [options.launch_url])):
        _checked("--redirect-uri and --launch-url", address, check_redirect_uri)
    jwks, jwks_url = _keys(options.jwks)
    is_static = options.jwks is None and not options.public
    scopes = tuple(dict.fromkeys(options.scope)) or ((_READ_ALL,) if is_static else ())
    is_of_system = all(each.level == "system" for each in permissions(scopes))
    wrong = {
        "say with --scope what the client may ask for": not scopes,
        "--public is for clients without --jwks": options.public and options.jwks is not None,
        "--public needs --redirect-uri": options.public and not options.redirect_uri,
        "--public: system scopes are for clients that prove who they are": options.public
        and any(scope.startswith("system/") for scope in scopes),
        "--redirect-uri needs --jwks or --public": bool(options.redirect_uri) and is_static,
        "--launch-url needs --redirect-uri": bool(options.launch_url) and not options.redirect_uri,
        "--introspect needs --jwks": options.introspect and options.jwks is None,
        "scopes of patient, user and launch need --redirect-uri": not options.redirect_uri
        and (not is_of_system or not CONTEXTS.isdisjoint(scopes)),
    }
    for text, is_so in wrong.items():
        if is_so:
            raise ConfigError(text)
    return ClientRow(
        options.name, scopes, jwks, jwks_url, tuple(dict.fromkeys(options.redirect_uri)),
        options.launch_url, options.public, options.introspect,
    )  # fmt: skip


def _checked(option: str, text: str, check: Callable[[str], object]) -> None:
    try:
        check(text)
    except ValueError as error:
        told = str(error)
        raise ConfigError(f"{option}: {told if text in told else f'{text}: {told}'}") from None


def _keys(given: str | None) -> tuple[str | None, str | None]:
    """A JWKS, or its address."""
    from wardlight_cloud.smart.key_fetching import check_address
    from wardlight_cloud.smart.keys import public_keys

    if given is None:
        return None, None
    if "://" in given:
        _checked("--jwks", given, check_address)
        return None, given
    try:
        text = Path(given).read_text(encoding="utf-8")
        public_keys(text)
    except OSError as error:
        raise ConfigError(f"--jwks: {given} cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise ConfigError(f"--jwks: {given}: {error}") from None
    return text, None


async def _token(store: Store, options: argparse.Namespace) -> int:
    client = await _known(store, options.name)
    if not all(scope.startswith("system/") for scope in client.scopes):
        raise ConfigError(
            f"{client.name} is an app that users open: it has scopes that no bearer token can have"
        )
    return await _give_token(store, client)


async def _give_token(store: Store, client: ClientRow) -> int:
    from wardlight_cloud.security.tokens import new_token, token_hash

    token = new_token()
    await store.put_client(client.name, token_hash(token), client.scopes)
    print(f"bearer token of {client.name} (shown once): {token}")
    return 0


async def _list(store: Store, options: argparse.Namespace) -> int:
    show(
        ("client", "proves by", "scopes", "sent back to"),
        [
            (each.name, _proof(each), " ".join(each.scopes), " ".join(each.redirect_uris) or None)
            for each in await store.clients()
        ],
    )
    return 0


def _proof(client: ClientRow) -> str:
    proofs = [
        *(["keys"] if client.jwks is not None else []),
        *([client.jwks_url] if client.jwks_url is not None else []),
        *(["bearer token"] if client.has_token else []),
        *(["nothing (public)"] if client.is_public else []),
    ]
    return ", ".join(proofs) or "nothing yet"


async def _remove(store: Store, options: argparse.Namespace) -> int:
    if not await store.remove_client(options.name):
        raise ConfigError(f"there is no client {options.name!r}")
    print(f"the tokens of {options.name} open nothing any more")
    return 0


async def _launch(store: Store, options: argparse.Namespace) -> int:
    from wardlight_cloud.smart.launches import launch_address

    fhir = f"{_base(options.settings.http)}/fhir"
    launch = Launch(options.name, options.patient, None)
    try:
        print(await launch_address(store, launch, fhir))
    except ValueError as error:
        raise ConfigError(str(error)) from None
    return 0


def _base(http: HttpSettings) -> str:
    if http.base_url is not None:
        return http.base_url
    if http.port == 0:
        raise ConfigError("http.base_url is not set, and http.port says no port to open")
    return f"http://127.0.0.1:{http.port}"


async def _known(store: Store, name: str) -> ClientRow:
    client = await store.client(name)
    if client is None:
        raise ConfigError(f"there is no client {name!r}; see `client list`")
    return client
