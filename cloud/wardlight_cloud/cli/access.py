"""Who may read: dashboard users and API clients."""

import argparse
import asyncio
from typing import Any

from wardlight_cloud.cli.on_store import command
from wardlight_cloud.store.base import Store
from wardlight_shared.errors import ConfigError

# Imported late, as in processes.py: hashing and the web framework are not every command's business.


def add_commands(commands: Any, config: argparse.ArgumentParser) -> None:
    """Add the parsers of these commands."""
    user = command(commands, config, "user", "add a dashboard user, or give one a new password")
    user.add_argument("login")
    user.add_argument(
        "--disable", action="store_true",
        help="end the user's password and sessions; `user LOGIN` lets them in again",
    )  # fmt: skip
    user.set_defaults(action=_user)
    client = command(commands, config, "client", "add an API client, or give one a new token")
    client.add_argument("name")
    change = client.add_mutually_exclusive_group()
    change.add_argument(
        "--scope", action="append", metavar="SCOPE",
        help="system/*.rs (read all), which is also the default: this version knows no other",
    )  # fmt: skip
    change.add_argument("--revoke", action="store_true", help="end the client's token")
    client.set_defaults(action=_client)


async def _user(store: Store, options: argparse.Namespace) -> int:
    from wardlight_cloud.security.passwords import hash_password, new_password

    if options.disable:
        if not await store.remove_user(options.login):
            raise ConfigError(f"there is no user {options.login!r}")
        print(f"{options.login} cannot sign in any more")
        return 0
    password = new_password()
    await store.put_user(options.login, await asyncio.to_thread(hash_password, password))
    print(f"password of {options.login}: {password}")
    return 0


async def _client(store: Store, options: argparse.Namespace) -> int:
    from wardlight_cloud.security.tokens import READ_ALL, new_token, token_hash

    if options.revoke:
        if not await store.remove_client(options.name):
            raise ConfigError(f"there is no client {options.name!r}")
        print(f"the token of {options.name} opens nothing any more")
        return 0
    for scope in options.scope or ():
        if scope != READ_ALL:
            raise ConfigError(
                f"--scope {scope}: this version cannot keep a client to it; the only scope is "
                f"{READ_ALL}, which reads all patients"
            )
    token = new_token()
    await store.put_client(options.name, token_hash(token), [READ_ALL])
    print(f"bearer token of {options.name} (shown once): {token}")
    return 0
