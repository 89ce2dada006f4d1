"""What one instance of a group meets is its own; what the way there meets ends the group."""

import contextlib
import http.client
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import pytest
from pydicom.dataset import Dataset

from wardlight_cloud.config import Settings
from wardlight_cloud.dimse import delivering
from wardlight_cloud.dimse.delivering import Delivered, Delivery
from wardlight_cloud.dimse.entity import Entity
from wardlight_cloud.dimse.sending import SendingError
from wardlight_cloud.dimse.stow import check_answer
from wardlight_cloud.dimse.transcoding import TranscodingError, TranscodingFailedError
from wardlight_cloud.store.forwarding import DicomNode, ForwardItem, ForwardTarget
from wardlight_cloud.store.imaging import InstanceRef
from wardlight_shared.errors import StorageError

NOW = datetime(2026, 1, 1, tzinfo=UTC)
URL = ForwardTarget(url="http://pacs.example/dicom-web")
NODE = DicomNode("PACS", "192.0.2.1", 104)
ODD_ANSWER = b'{"00081198": {"vr": "SQ", "Value": [{"00081197": {"Value": ["what?"]}}]}}'


def group(target: ForwardTarget, count: int) -> list[tuple[ForwardItem, InstanceRef]]:
    made = []
    for number in range(count):
        ref = InstanceRef(
            "1", "1.1", f"1.1.{number}", "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1",
            b"\0" * 32, 1, 1, 16, 16, 1, "hot", NOW,
        )  # fmt: skip
        item = ForwardItem(number, "r", target, "1", ref.sop_uid, ref.sha256, 1, NOW)
        made.append((item, ref))
    return made


def told(delivered: Delivered) -> list[tuple[str | None, bool, bool]]:
    """Reason, whether it is final, whether it was tried: of each instance."""
    return [(each.reason, each.is_final, each.was_tried) for each in delivered.outcomes]


class Sent:
    """Stands for the Sender and the Nodes and the ReadLog."""

    def __init__(self) -> None:
        self.noted: list[str] = []

    @contextlib.contextmanager
    def stored(self, ref: InstanceRef) -> Iterator[Path]:
        yield Path("/nowhere")

    def carry(self, assoc: Any) -> None:
        """Nothing."""

    def node(self, ae_title: str) -> DicomNode:
        return NODE

    def note(self, receiver: Any, study_uid: str, how: str) -> None:
        self.noted.append(receiver.name)


class Peer:
    """An association that answers as it is told, and no more once it was cut."""

    is_rejected = False

    def __init__(self, *steps: Exception | int | None) -> None:
        self.is_established = True
        self.dul: Any = type("Dul", (), {"socket": None})
        self._steps = list(steps)

    def send_c_store(self, _: Any) -> Dataset:
        step = self._steps.pop(0)
        if isinstance(step, Exception):
            raise step
        answer = Dataset()
        if step is None:
            self.is_established = False
        else:
            answer.Status = step
        return answer

    def kill(self) -> None:
        self.is_established = False

    def release(self) -> None:
        self.is_established = False


def stored_at(monkeypatch: pytest.MonkeyPatch, *steps: Exception | int | None) -> Delivered:
    monkeypatch.setattr(Entity, "associated", lambda *_, **__: Peer(*steps))
    part: Any = Sent()
    entity = Entity(Settings.model_validate({}).dicom)
    return Delivery(entity, part, part, part).deliver(group(ForwardTarget("PACS"), 3))


def posted_at(monkeypatch: pytest.MonkeyPatch, *steps: Callable[[str], None]) -> Delivered:
    todo = list(steps)

    class Service:
        def __init__(self, *_: Any, **__: Any) -> None: ...

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None: ...

        def store(self, _: Path, sop_uid: str) -> None:
            todo.pop(0)(sop_uid)

        def close(self) -> None: ...

    monkeypatch.setattr(delivering, "StowClient", Service)
    part: Any = Sent()
    entity = Entity(Settings.model_validate({}).dicom)
    return Delivery(entity, part, part, part).deliver(group(URL, 3))


@pytest.mark.parametrize(
    ("error", "is_final"),
    [
        (TranscodingError("it cannot be decoded"), True),
        (TranscodingFailedError("the decoder crashed or hung"), False),
        (SendingError("a check found the stored object damaged or missing"), False),
        (SendingError("the peer takes no objects of this SOP class"), False),
        (StorageError("the object store does not answer"), False),
    ],
)
def test_only_an_object_that_cannot_be_coded_is_given_up(
    monkeypatch: pytest.MonkeyPatch, error: Exception, is_final: bool
) -> None:
    """Whatever else it is, is tried again; and the next ones go on the same association."""
    delivered = stored_at(monkeypatch, error, 0x0000, 0xB000)
    arrived = (None, False, True)
    assert told(delivered) == [(str(error), is_final, True), arrived, arrived]
    assert not delivered.is_target_away


@pytest.mark.parametrize("error", [OSError(), AttributeError("MediaStorageSOPClassUID")])
def test_what_may_be_half_sent_ends_the_association(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    delivered = stored_at(monkeypatch, 0x0000, error)
    assert told(delivered) == [
        (None, False, True),
        (type(error).__name__, False, True),
        ("the association ended", False, False),
    ]


@pytest.mark.parametrize(("steps", "is_away"), [((None,), True), ((0x0000, None), False)])
def test_a_target_that_took_something_is_not_away(
    monkeypatch: pytest.MonkeyPatch, steps: tuple[int | None, ...], is_away: bool
) -> None:
    """One that takes an instance an association is no reason to rest."""
    delivered = stored_at(monkeypatch, *steps)
    assert delivered.is_target_away is is_away
    assert [each.was_tried for each in delivered.outcomes].count(True) == len(steps)


def takes(_: str) -> None:
    """As a service that answers as it should."""


def hangs_up(_: str) -> None:
    raise http.client.RemoteDisconnected("gone")


def answers_oddly(sop_uid: str) -> None:
    check_answer(200, ODD_ANSWER, sop_uid)


def test_an_odd_answer_of_a_service_is_that_instance_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    delivered = posted_at(monkeypatch, takes, answers_oddly, takes)
    arrived = (None, False, True)
    assert told(delivered) == [arrived, ("ValueError", False, True), arrived]
    assert not delivered.is_target_away


def test_a_connection_that_ends_is_the_end_of_the_group(monkeypatch: pytest.MonkeyPatch) -> None:
    delivered = posted_at(monkeypatch, hangs_up)
    why = "RemoteDisconnected"
    assert told(delivered) == [(why, False, True), (why, False, False), (why, False, False)]
    assert delivered.is_target_away
    assert not posted_at(monkeypatch, takes, hangs_up).is_target_away
