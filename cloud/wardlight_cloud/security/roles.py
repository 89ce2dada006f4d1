"""Who speaks to the broker, and under which names.

A certificate names its holder twice: the common name is the name, the organizational unit the role.
A name fits one role only, so that a broker that reads the common name alone (mosquitto) cannot be
shown a gateway's certificate as a collector's.
"""

import re
from enum import StrEnum
from typing import Final

from wardlight_shared.topics import is_gateway_id

_PREFIXES: Final = {"collector": "collector-", "api": "api-"}
_REST: Final = re.compile(r"[a-z0-9-]{1,32}")


class Role(StrEnum):
    """What a client may be; the value stands in its certificate."""

    GATEWAY = "gateway"
    COLLECTOR = "collector"
    API = "api"

    def accepts(self, name: str) -> bool:
        """Whether `name` is well formed for this role and for no other."""
        reserved = next((role for role, start in _PREFIXES.items() if name.startswith(start)), None)
        if self is Role.GATEWAY:
            return reserved is None and is_gateway_id(name)
        start = _PREFIXES[self.value]
        return reserved == self.value and _REST.fullmatch(name.removeprefix(start)) is not None

    def require(self, name: str) -> None:
        """ValueError when `name` does not fit this role."""
        if not self.accepts(name):
            rule = (
                "3 to 32 of a-z, 0-9 and '-', and not the start of another role's names"
                if self is Role.GATEWAY
                else f"{_PREFIXES[self.value]!r} and 1 to 32 of a-z, 0-9 and '-'"
            )
            raise ValueError(f"{name!r} is no name of a {self.value}: {rule}")
