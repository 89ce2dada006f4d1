"""A group of instances to one target: by C-STORE on one association, or by STOW-RS one by one.

Runs in a thread, for as long as the target takes. A group ends with the first failure of the way
there (nobody answers, the association or the connection ended): what is behind it would wait for
the same, each for its whole limit, and has not been tried. What an object alone cannot do says
nothing about the next one.
"""

import http.client
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from pynetdicom.association import Association

from wardlight_cloud.dimse.callers import receiver_at
from wardlight_cloud.dimse.entity import Entity, contexts_for
from wardlight_cloud.dimse.nodes import Nodes
from wardlight_cloud.dimse.sending import Carried, Sender, is_stored, reason_of
from wardlight_cloud.dimse.stow import StowClient, StowRefusedError
from wardlight_cloud.dimse.transcoding import TranscodingError
from wardlight_cloud.imaging.reads import ReadLog
from wardlight_cloud.store.forwarding import ForwardItem
from wardlight_cloud.store.image_reads import Reader
from wardlight_cloud.store.imaging import InstanceRef
from wardlight_shared.errors import ConfigError, WardlightError

_ENDED: Final = "the association ended"
Group = Sequence[tuple[ForwardItem, InstanceRef]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an item; ``reason`` None: it has arrived.

    ``is_final``: another attempt would end the same way. ``was_tried`` False: the group ended
    before its turn.
    """

    item: ForwardItem
    reason: str | None = None
    is_final: bool = False
    was_tried: bool = True


@dataclass(frozen=True, slots=True)
class Delivered:
    """The outcome of each item of a group.

    ``is_target_away``: the way to the target failed, and nothing has arrived.
    """

    outcomes: list[Outcome]
    is_target_away: bool = False


class Delivery:
    """Sends groups; of several threads, each with a target of its own."""

    def __init__(self, entity: Entity, nodes: Nodes, sender: Sender, reads: ReadLog) -> None:
        self._entity = entity
        self._nodes = nodes
        self._sender = sender
        self._reads = reads
        self._is_ending = threading.Event()

    def end(self) -> None:
        """Begin no further instance; what is being sent goes on to its end."""
        self._is_ending.set()

    def deliver(self, group: Group) -> Delivered:
        """All of one target."""
        target = group[0][0].target
        return self._by_store(group) if target.ae_title is not None else self._by_stow(group)

    # -- C-STORE

    def _by_store(self, group: Group) -> Delivered:
        ae_title = str(group[0][0].target.ae_title)
        node = self._nodes.node(ae_title)
        if node is None or node.port is None:
            return _away([], group, f"the node {ae_title} is not on the list or has no port")
        try:
            assoc = self._entity.associated(
                node, contexts_for(ref for _, ref in group), prepare=self._sender.carry
            )
        except (ConfigError, ValueError, OSError) as error:
            return _away([], group, reason_of(error))
        if not assoc.is_established:
            why = "refused the association" if assoc.is_rejected else "does not answer"
            return _away([], group, f"{ae_title} {why}")
        try:
            outcomes: list[Outcome] = []
            for item, ref in group:
                if self._is_ending.is_set() or not assoc.is_established:
                    break
                outcomes.append(self._stored(assoc, item, ref))
            self._note(receiver_at(node), outcomes)
            if assoc.is_established:
                return Delivered(outcomes + _untried(group[len(outcomes) :], _ENDED))
            return _away(outcomes, group, _ENDED)
        finally:
            if assoc.is_established:
                assoc.release()

    def _stored(self, assoc: Association, item: ForwardItem, ref: InstanceRef) -> Outcome:
        try:
            status = assoc.send_c_store(Carried(ref)).get("Status")
        except WardlightError as error:  # before anything of it was sent
            return Outcome(item, reason_of(error), isinstance(error, TranscodingError))
        except Exception as error:  # noqa: BLE001 - it may be half sent; the next ones have their own turn
            _cut(assoc)
            return Outcome(item, reason_of(error))
        if status is None:
            return Outcome(item, _ENDED)
        if is_stored(status):
            return Outcome(item)
        return Outcome(item, f"status {status:#06x}")

    # -- STOW-RS

    def _by_stow(self, group: Group) -> Delivered:
        target = group[0][0].target
        receiver = Reader("node", f"STOW@{urlsplit(target.url or '').hostname or ''}")
        outcomes: list[Outcome] = []
        try:
            with StowClient(target, timeout_s=self._entity.network_timeout or 60.0) as client:
                for item, ref in group:
                    if self._is_ending.is_set():
                        break
                    outcomes.append(self._posted(client, item, ref))
        except ConfigError as error:
            return _away([], group, str(error))
        except (OSError, http.client.HTTPException) as error:
            why = reason_of(error)
            outcomes.append(Outcome(group[len(outcomes)][0], why))
            self._note(receiver, outcomes)
            return _away(outcomes, group, why)
        self._note(receiver, outcomes)
        return Delivered(outcomes + _untried(group[len(outcomes) :], "the process ended"))

    def _posted(self, client: StowClient, item: ForwardItem, ref: InstanceRef) -> Outcome:
        """OSError, HTTPException: the service does not answer."""
        try:
            with self._sender.stored(ref) as file:
                client.store(file, ref.sop_uid)
        except StowRefusedError as error:
            return Outcome(item, str(error), error.is_final)
        except (OSError, http.client.HTTPException):
            raise
        except Exception as error:  # noqa: BLE001 - an odd answer says nothing of the next instance
            client.close()
            return Outcome(item, reason_of(error))
        return Outcome(item)

    def _note(self, receiver: Reader, outcomes: Sequence[Outcome]) -> None:
        """Who got what is on record as given out by DICOM, by STOW-RS too."""
        for each in outcomes:
            if each.reason is None:
                self._reads.note(receiver, each.item.study_uid, "dimse")


def _cut(assoc: Association) -> None:
    """End an association in the middle of a message, without a word: nothing may follow on it."""
    if assoc.dul.socket is not None:
        assoc.dul.socket.close()
    assoc.kill()


def _away(outcomes: list[Outcome], group: Group, reason: str) -> Delivered:
    is_away = all(each.reason is not None for each in outcomes)
    return Delivered(outcomes + _untried(group[len(outcomes) :], reason), is_away)


def _untried(group: Group, reason: str) -> list[Outcome]:
    return [Outcome(item, reason, was_tried=False) for item, _ in group]
