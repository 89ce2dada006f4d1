"""Other DICOM application entities, and what is forwarded to them, in the store's Protocol.

A rule says which instances go where; it finds them by its place in the order of commits, so nothing
is done while images arrive. Each instance of a rule is one item with its own result. Items are
leased: what a process took and did not settle is due again when its lease is over. Every coroutine
raises StorageError; one call is one transaction.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

Right = Literal["query", "retrieve"]
RuleKind = Literal["all", "modality", "patient", "source"]
ItemState = Literal["waiting", "sent", "dead"]


@dataclass(frozen=True, slots=True)
class DicomNode:
    """An application entity that is known by its AE title.

    ``port`` None: it calls, and is not called. ``networks``: where its calls may come from, empty =
    from ``host`` alone. ``fingerprint``: SHA-256 of the certificate it must show, None = any that
    the CA of the settings signed, or none where there is no TLS. ``rights``: what it may ask for.
    """

    ae_title: str
    host: str
    port: int | None = None
    networks: tuple[str, ...] = ()
    tls: bool = False
    fingerprint: bytes | None = None
    rights: tuple[Right, ...] = ("query", "retrieve")


@dataclass(frozen=True, slots=True)
class ForwardTarget:
    """Where a rule sends: to the node ``ae_title``, or to the STOW-RS service at ``url``.

    The bearer token of a service is never stored: it is in the environment variable ``token_env``
    or in the file ``token_file`` of mode 0600.
    """

    ae_title: str | None = None
    url: str | None = None
    token_env: str | None = None
    token_file: str | None = None


@dataclass(frozen=True, slots=True)
class ForwardRule:
    """Which instances go to a target.

    all       ``value`` is empty
    modality  Modality (0008,0060) is ``value``
    patient   the study is of the patient of the register whose UUID is ``value``
    source    ``value`` is the gateway, or the calling AE title, that the instance came from
    """

    name: str
    kind: RuleKind
    value: str
    target: ForwardTarget
    give_up_days: int = 14


@dataclass(frozen=True, slots=True)
class ForwardItem:
    """One instance that a rule sends, leased by the caller; ``attempts`` counts this one."""

    item_id: int
    rule: str
    target: ForwardTarget
    study_uid: str
    sop_uid: str
    sha256: bytes
    attempts: int
    since: datetime


@dataclass(frozen=True, slots=True)
class ForwardStatus:
    """How far a rule has come. ``reason`` and ``oldest`` are of items that wait."""

    rule: ForwardRule
    waiting: int
    sent: int
    dead: int
    oldest: datetime | None
    reason: str


@dataclass(frozen=True, slots=True)
class DeadItem:
    """An instance that was given up."""

    item_id: int
    rule: str
    sop_uid: str
    attempts: int
    since: datetime
    reason: str


class ForwardingStore(Protocol):
    """Nodes, rules and items."""

    async def put_node(self, node: DicomNode) -> None:
        """Add a node, or replace it by its AE title."""

    async def remove_node(self, ae_title: str) -> bool:
        """False when there is none; StorageError while a rule sends to it."""

    async def nodes(self) -> tuple[DicomNode, ...]:
        """All, by AE title."""

    async def put_rule(self, rule: ForwardRule, *, from_beginning: bool = False) -> None:
        """Add a rule for what is stored from now on, or for all; StorageError when it exists."""

    async def remove_rule(self, name: str) -> bool:
        """Remove a rule with its items; False when there is none."""

    async def rules(self) -> tuple[ForwardRule, ...]:
        """All, by name."""

    async def named_by(self, rule: ForwardRule) -> tuple[int, int]:
        """Studies and instances that are stored and that a rule, known or not, names."""

    async def forward_new(self, *, studies: int) -> bool:
        """Make items of the studies that were committed since the last call.

        At most of ``studies`` studies for each rule; True: there are more. An instance becomes an
        item of a rule once, and once more when another file has taken its place.
        """

    async def take_items(
        self, *, count: int, lease_s: float, but_for: Collection[ForwardTarget] = ()
    ) -> tuple[ForwardItem, ...]:
        """Lease items that are due, oldest first, of one rule that sends to none of ``but_for``.

        Those of a patient's rule whose study is not the patient's any more are dropped; they come
        again when it is.
        """

    async def renew_items(self, item_ids: Sequence[int], *, lease_s: float) -> None:
        """Lease items that were taken, and are not settled, from now on."""

    async def settle_sent(self, item_ids: Sequence[int]) -> None:
        """These have arrived: the target said so."""

    async def settle_failed(
        self,
        item_ids: Sequence[int],
        reason: str,
        *,
        again_in_s: float | None,
        was_tried: bool = True,
    ) -> None:
        """These have not; after ``give_up_days`` of their rule, or at once with None, dead.

        ``was_tried`` False: their turn did not come; it counts as no attempt.
        ``reason`` is for operators and holds no patient data.
        """

    async def forward_status(self) -> tuple[ForwardStatus, ...]:
        """Counts of each rule."""

    async def dead_items(self, *, count: int = 100) -> tuple[DeadItem, ...]:
        """What was given up, oldest first."""

    async def retry_dead(self, rule: str | None = None) -> int:
        """Let what was given up wait again, of a rule or of all; how many."""
