"""Who may call, and for what: the list of known application entities; default is to refuse.

In      calling AE title, address and certificate of an association, the list of nodes
Out     the node, or why the association is refused (source and reason of A-ASSOCIATE-RJ)
Source  PS3.8 9.3.4 (A-ASSOCIATE-RJ), PS3.15 B.9 (BCP 195 TLS)
"""

import hashlib
import ipaddress
import threading
import time
from collections.abc import Iterable
from typing import Final

from wardlight_cloud.dimse.loop_thread import LoopCalls
from wardlight_cloud.store.forwarding import DicomNode, ForwardingStore
from wardlight_shared.errors import StorageError

_REMEMBERED_S: Final = 2.0
_LOOKED_AGAIN_S: Final = 0.2  # for one that is not on the list: it may just have been added


class Refusal(Exception):
    """Nobody of the list; the text says what does not fit, for our log."""


class Nodes:
    """The list as it stood a few seconds ago, for threads of associations."""

    def __init__(self, store: ForwardingStore, calls: LoopCalls) -> None:
        self._store = store
        self._calls = calls
        self._lock = threading.Lock()
        self._nodes: dict[str, DicomNode] = {}
        self._read_at = -_REMEMBERED_S

    def node(self, ae_title: str) -> DicomNode | None:
        """The node of this AE title; what was known before holds while the database is away."""
        name = ae_title.strip()
        with self._lock:
            limit_s = _REMEMBERED_S if name in self._nodes else _LOOKED_AGAIN_S
            if time.monotonic() - self._read_at >= limit_s:
                self._read()
            return self._nodes.get(name)

    def _read(self) -> None:
        try:
            found = self._calls.call(self._store.nodes())
        except StorageError:
            return
        self._nodes = {node.ae_title: node for node in found}
        self._read_at = time.monotonic()

    def admitted(self, ae_title: str, address: str, certificate: bytes | None) -> DicomNode:
        """The caller's node; Refusal when there is none that fits."""
        node = self.node(ae_title)
        if node is None:
            raise Refusal("unknown AE title")
        if not comes_from(address, node.networks or (node.host,)):
            raise Refusal("AE title from another address")
        if node.fingerprint is not None:
            shown = None if certificate is None else hashlib.sha256(certificate).digest()
            if shown != node.fingerprint:
                raise Refusal("another certificate than the one of the list")
        return node


def comes_from(address: str, networks: Iterable[str]) -> bool:
    """Whether an address is in one of the networks; a name of a host is resolved by nobody here."""
    caller = _plain(ipaddress.ip_address(address.partition("%")[0]))
    for network in networks:
        try:
            if caller in ipaddress.ip_network(network, strict=False):
                return True
        except ValueError:
            continue
    return False


def _plain(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
