"""Who may read: dashboard users and API clients."""

import argparse
import asyncio
import re
from typing import Any, Final

from wardlight_cloud.cli.clients import add_commands as add_clients
from wardlight_cloud.cli.on_store import command
from wardlight_cloud.store.base import Store
from wardlight_shared.errors import ConfigError

_REFERENCE: Final = re.compile(
    r"(Practitioner|PractitionerRole|Patient|RelatedPerson|Person)/[A-Za-z0-9.-]{1,64}"
)

# Imported late, as in processes.py: hashing and the web framework are not every command's business.


def add_commands(commands: Any, config: argparse.ArgumentParser) -> None:
    """Add the parsers of these commands."""
    user = command(commands, config, "user", "add a dashboard user, or give one a new password")
    user.add_argument("login")
    change = user.add_mutually_exclusive_group()
    change.add_argument(
        "--disable", action="store_true",
        help="end the user's password and sessions; `user LOGIN` lets them in again",
    )  # fmt: skip
    change.add_argument(
        "--fhir-user",
        metavar="REFERENCE",
        help="which resource the user is, as Practitioner/1, for apps that ask; the password stays",
    )
    user.set_defaults(action=_user)
    add_clients(commands, config)


async def _user(store: Store, options: argparse.Namespace) -> int:
    from wardlight_cloud.security.passwords import hash_password, new_password

    if options.disable:
        if not await store.remove_user(options.login):
            raise ConfigError(f"there is no user {options.login!r}")
        print(f"{options.login} cannot sign in any more")
        return 0
    if options.fhir_user is not None:
        return await _name_resource(store, options)
    password = new_password()
    await store.put_user(options.login, await asyncio.to_thread(hash_password, password))
    print(f"password of {options.login}: {password}")
    return 0


async def _name_resource(store: Store, options: argparse.Namespace) -> int:
    if _REFERENCE.fullmatch(options.fhir_user) is None:
        raise ConfigError(f"--fhir-user {options.fhir_user}: write it as Practitioner/1")
    if not await store.put_fhir_user(options.login, options.fhir_user):
        raise ConfigError(f"there is no user {options.login!r}")
    print(f"{options.login} is {options.fhir_user}")
    return 0
