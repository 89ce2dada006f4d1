"""What subscriptions ask of the store and of the settings."""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Protocol

from wardlight_cloud.store.base import ReadStore
from wardlight_cloud.store.maintenance import MaintenanceStore
from wardlight_cloud.store.resources import ResourceStore
from wardlight_cloud.store.subscriptions import SubscriptionStore


class AskedStore(ReadStore, ResourceStore, SubscriptionStore, Protocol):
    """What is asked of the store where somebody asks or is told."""


class SubscribingStore(AskedStore, MaintenanceStore, Protocol):
    """The same, with who leads."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Where notices may be sent, and how many subscriptions a client may have.

    ``networks``: beside public addresses. ``on_this_machine``: http to loopback, for trying out.
    ``days``: how long events are kept.
    """

    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    on_this_machine: bool = False
    most: int = 100
    days: int = 7
