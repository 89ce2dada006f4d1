"""Who is admitted, and what is said to who is not."""

from collections.abc import Callable

import pytest

from wardlight_edge.dicom.admission import (
    CALLED_UNKNOWN,
    CALLING_UNKNOWN,
    NO_REASON,
    WRONG_CERTIFICATE,
    AllowList,
    Grant,
)
from wardlight_edge.dicom.base import Peer
from wardlight_edge.dicom.gate import Gate
from wardlight_edge.imaging_settings import DicomSettings, PeerSettings

SETTINGS = DicomSettings(
    peers=(
        PeerSettings(calling_ae="US1", networks=("192.0.2.7",), quota_bytes=5),
        PeerSettings(calling_ae="DX1", networks=("198.51.100.0/24",), certificate="dx1"),
        PeerSettings(calling_ae="CT1", called_ae="ARCHIVE", networks=("2001:db8::/32",),
                     sop_classes=("1.2.840.10008.5.1.4.1.1.2",)),
    )
)  # fmt: skip


def _peer(calling: str, address: str, called: str = "WARDLIGHT", cn: str | None = None) -> Peer:
    return Peer(calling, called, address, cn)


def test_nobody_is_admitted_without_settings() -> None:
    assert AllowList(DicomSettings()).decide(_peer("ANY", "127.0.0.1")) == CALLING_UNKNOWN


@pytest.mark.parametrize(
    ("peer", "verdict"),
    [
        (_peer("US1", "192.0.2.7"), Grant(None, 5)),
        (_peer("US1", "::ffff:192.0.2.7"), Grant(None, 5)),
        (_peer("US1", "192.0.2.8"), NO_REASON),
        (_peer("US1", "192.0.2.7", called="OTHER"), CALLED_UNKNOWN),
        (_peer("us1", "192.0.2.7"), CALLING_UNKNOWN),
        (_peer("", "192.0.2.7"), CALLING_UNKNOWN),
        (_peer("DX1", "198.51.100.9", cn="dx1"), Grant()),
        (_peer("DX1", "198.51.100.9", cn="dx2"), WRONG_CERTIFICATE),
        (_peer("DX1", "198.51.100.9"), WRONG_CERTIFICATE),
        (_peer("CT1", "2001:db8::5%eth0", called="ARCHIVE"),
         Grant(frozenset({"1.2.840.10008.5.1.4.1.1.2"}))),
        (_peer("CT1", "2001:db8::5"), CALLED_UNKNOWN),
        (_peer("ANY", "127.0.0.1"), CALLING_UNKNOWN),
    ],
)  # fmt: skip
def test_a_peer_is_admitted_by_everything_that_is_listed_of_it(peer: Peer, verdict: object) -> None:
    assert AllowList(SETTINGS).decide(peer) == verdict


def test_loopback_is_admitted_where_the_settings_say_so_and_from_nowhere_else() -> None:
    allowed = AllowList(DicomSettings(admit_loopback=True))
    assert allowed.decide(_peer("ANY", "127.0.0.1")) == Grant()
    assert allowed.decide(_peer("ANY", "::1")) == Grant()
    assert allowed.decide(_peer("ANY", "127.0.0.1", called="OTHER")) == CALLED_UNKNOWN
    assert allowed.decide(_peer("ANY", "192.0.2.7")) == CALLING_UNKNOWN


@pytest.mark.parametrize(
    ("address", "may_knock"),
    [
        ("192.0.2.7", True),
        ("::ffff:192.0.2.7", True),
        ("198.51.100.200", True),
        ("2001:db8::9%eth0", True),
        ("192.0.2.8", False),
        ("127.0.0.1", False),
        ("::1", False),
    ],
)
def test_who_may_knock(address: str, *, may_knock: bool) -> None:
    assert AllowList(SETTINGS).has_network_of(address) is may_knock
    assert AllowList(DicomSettings(admit_loopback=True)).has_network_of(address) is (
        address in ("127.0.0.1", "::1")
    )


def _entered(gate: Gate, address: str) -> Callable[[], None]:
    found = gate.enter(address)
    assert not isinstance(found, str)
    return found


def test_places_before_an_association_are_bounded_for_each_address_and_in_all() -> None:
    peers = PeerSettings(calling_ae="A", networks=("192.0.2.0/24",))
    settings = DicomSettings(peers=(peers,), max_associations=4, max_per_ae=2)
    gate = Gate(settings, AllowList(settings))
    first = [_entered(gate, "192.0.2.1") for _ in range(4)]
    assert isinstance(gate.enter("192.0.2.1"), str)
    others = [_entered(gate, f"192.0.2.{number}") for number in range(2, 10)]
    assert isinstance(gate.enter("192.0.2.11"), str), "4 seats and 8 more"
    first[0]()
    first[0]()
    _entered(gate, "192.0.2.11")
    assert isinstance(gate.enter("192.0.2.12"), str), "a place is given back once"
    others[0]()
    _entered(gate, "192.0.2.1")


def test_who_knocks_often_is_named_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    now_s = [100.0]
    gate = Gate(SETTINGS, AllowList(SETTINGS), lambda: now_s[0])
    for _ in range(50):
        assert isinstance(gate.enter("203.0.113.9"), str)
    assert len(caplog.records) == 1
    now_s[0] += 61
    gate.enter("203.0.113.9")
    assert len(caplog.records) == 2
