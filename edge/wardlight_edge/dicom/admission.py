"""Who may have an association, and what for: default deny; pure.

Out     Grant, or Refusal with what an A-ASSOCIATE-RJ says
Source  DICOM PS3.8, 9.3.4
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import msgspec

from wardlight_edge.dicom.base import Peer
from wardlight_edge.imaging_settings import DicomSettings, PeerSettings

_Network = IPv4Network | IPv6Network


class Grant(msgspec.Struct, frozen=True):
    """What an admitted peer may do. None = no bound of its own."""

    sop_classes: frozenset[str] | None = None
    quota_bytes: int | None = None


class Refusal(msgspec.Struct, frozen=True):
    """Result, source and reason of an A-ASSOCIATE-RJ; ``text`` for the log, without their names."""

    result: int
    source: int
    diagnostic: int
    text: str


PERMANENT = 1
TRANSIENT = 2
NO_REASON = Refusal(PERMANENT, 1, 1, "the peer comes from elsewhere")
WRONG_CERTIFICATE = Refusal(PERMANENT, 1, 1, "the peer's certificate is another")
CALLING_UNKNOWN = Refusal(PERMANENT, 1, 3, "the calling AE title is not listed")
CALLED_UNKNOWN = Refusal(PERMANENT, 1, 7, "the called AE title is another")
CONTEXT_NAME_UNKNOWN = Refusal(PERMANENT, 1, 2, "the application context is not DICOM's")
VERSION_UNKNOWN = Refusal(PERMANENT, 2, 2, "the protocol version is not 1")
TOO_MANY = Refusal(TRANSIENT, 3, 2, "the limit of associations is reached")


class _Rule(msgspec.Struct, frozen=True):
    called_ae: str
    networks: tuple[_Network, ...]
    certificate: str | None
    grant: Grant

    def objection(self, peer: Peer, address: IPv4Address | IPv6Address) -> Refusal | None:
        """Why this rule does not admit the peer."""
        if peer.called_ae != self.called_ae:
            return CALLED_UNKNOWN
        if not any(address in network for network in self.networks):
            return NO_REASON
        if self.certificate is not None and peer.certificate != self.certificate:
            return WRONG_CERTIFICATE
        return None


class AllowList:
    """The peers of the settings. ``decide`` for each request of an association."""

    def __init__(self, settings: DicomSettings) -> None:
        self._rules: dict[str, list[_Rule]] = {}
        for peer in settings.peers:
            rule = _rule(peer, settings.ae_title)
            self._rules.setdefault(peer.calling_ae, []).append(rule)
        every = (rule for rules in self._rules.values() for rule in rules)
        self._networks = {network for rule in every for network in rule.networks}
        self._own = settings.ae_title
        self._admits_loopback = settings.admit_loopback

    def has_network_of(self, address: str) -> bool:
        """Whether any peer may come from this address; who it is shows later."""
        found = _plain(address)
        if self._admits_loopback and found.is_loopback:
            return True
        return any(found in network for network in self._networks)

    def decide(self, peer: Peer) -> Grant | Refusal:
        """The first rule that admits the peer; else the objection that came closest."""
        address = _plain(peer.address)
        rules = self._rules.get(peer.calling_ae, [])
        objections = []
        for rule in rules:
            objection = rule.objection(peer, address)
            if objection is None:
                return rule.grant
            objections.append(objection)
        if self._admits_loopback and address.is_loopback:
            return Grant() if peer.called_ae == self._own else CALLED_UNKNOWN
        return _closest(objections)


def _closest(objections: Iterable[Refusal]) -> Refusal:
    order = (WRONG_CERTIFICATE, NO_REASON, CALLED_UNKNOWN)
    return min(objections, key=order.index, default=CALLING_UNKNOWN)


def _rule(peer: PeerSettings, own: str) -> _Rule:
    classes = frozenset(peer.sop_classes) or None
    return _Rule(
        called_ae=peer.called_ae or own,
        networks=tuple(ip_network(network) for network in peer.networks),
        certificate=peer.certificate,
        grant=Grant(classes, peer.quota_bytes),
    )


def _plain(address: str) -> IPv4Address | IPv6Address:
    """An address as rules have it: IPv4 also where a socket of IPv6 took it, without its zone."""
    found = ip_address(address.partition("%")[0])
    return getattr(found, "ipv4_mapped", None) or found
