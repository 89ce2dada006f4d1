"""Procedure steps under any order of events, kills and full disks: a state machine."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from pydicom.dataset import Dataset

from support.manual_clock import ManualClock
from support.modality import STEP_CLASS, begun, ended
from wardlight_edge.dicom.base import Peer, Request
from wardlight_edge.dicom.data_sets import EXPLICIT_LITTLE, written
from wardlight_edge.dicom.steps import StepService
from wardlight_edge.spool.age import Age
from wardlight_edge.spool.base import About, Accepted, Item, SpoolFull
from wardlight_edge.spool.database import Database
from wardlight_edge.spool.sealing import Sealer
from wardlight_edge.spool.steps import StepTable
from wardlight_shared.blobs import BlobKind

UIDS = st.sampled_from(["1.1", "1.2"])
PEER = Peer("CT1", "WARDLIGHT", "192.0.2.7")


class Killed(BaseException):
    """The process ends here."""


class Spool:
    """Implements ReceivingSpool; takes files, refuses them, or dies before or after taking one."""

    def __init__(self) -> None:
        self.mood = "well"
        self.files: list[tuple[str, bytes]] = []

    def ask_again(self, keys: Sequence[str]) -> None:
        raise AssertionError("steps are not committed")

    def is_kept(self, item: Item) -> bool | None:
        raise AssertionError("steps are not committed")

    def begin(
        self, kind: BlobKind, key: str, expected_bytes: int = 0, *, sender: str = ""
    ) -> "Taking":
        assert kind is BlobKind.STEP
        if self.mood == "full":
            raise SpoolFull("no room")
        return Taking(self, key)

    def find(self, key: str) -> list[Item]:
        raise AssertionError("steps are not looked for in the spool")


class Taking:
    """Implements Incoming."""

    def __init__(self, spool: Spool, key: str) -> None:
        self._spool = spool
        self._key = key
        self._octets = b""

    def write(self, octets: bytes | memoryview) -> None:
        self._octets += bytes(octets)

    def accept(self, about: About) -> Accepted:
        if self._spool.mood == "dies before":
            raise Killed
        file = self._key, self._octets
        known = file in self._spool.files
        if not known:
            self._spool.files.append(file)
        if self._spool.mood == "dies after":
            raise Killed
        return Accepted(1, known=known, conflict=False)

    def abandon(self) -> None:
        """Nothing is kept."""


class Steps(RuleBasedStateMachine):
    """What was answered with 0x0000 against what is queued."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="steps"))
        self.database = Database(self.folder / "spool.sqlite")
        self.clock = ManualClock()
        self.spool = Spool()
        self.status: dict[str, str] = {}
        self.events: list[tuple[str, str]] = []  # (UID, "create 1") in the order of acceptance
        self.start()

    def start(self) -> None:
        table = StepTable(self.database, Sealer(b"k" * 32))
        self.service = StepService(table, self.spool, self.clock, Age(self.database, self.clock))

    def _request(self, uid: str, field: int, data_set: Dataset) -> int | None:
        """The status; None = the process died before it answered."""
        command = Dataset()
        command.CommandField = field
        if field == 0x0140:
            command.AffectedSOPInstanceUID = uid
        else:
            command.RequestedSOPInstanceUID = uid
        request = Request(STEP_CLASS, EXPLICIT_LITTLE, command, written(data_set))
        try:
            (reply,) = self.service.answer(PEER, request, lambda: False)
        except Killed:
            self.spool.mood = "well"
            self.start()
            return None
        return reply.status

    def _accepted(self, uid: str, event: str) -> None:
        number = 1 + sum(each == uid for each, _ in self.events)
        self.events.append((uid, f"{event} {number}"))

    @rule(uid=UIDS)
    def create(self, uid: str) -> None:
        status = self._request(uid, 0x0140, begun())
        assert status in ({0x0111} if uid in self.status else {0, None})
        if uid not in self.status:
            self.status[uid] = "IN PROGRESS"
            self._accepted(uid, "create")

    @rule(uid=UIDS, status=st.sampled_from(["IN PROGRESS", "COMPLETED", "DISCONTINUED", "DONE"]))
    def change(self, uid: str, status: str) -> None:
        answer = self._request(uid, 0x0120, ended(status))
        held = self.status.get(uid)
        if held is None:
            assert answer == 0x0112
        elif held != "IN PROGRESS":
            assert answer == 0x0110
        elif status == "DONE":
            assert answer == 0x0106
        else:
            assert answer in (0, None)
            self.status[uid] = status
            self._accepted(uid, "set")

    @rule(mood=st.sampled_from(["well", "well", "full", "dies before", "dies after"]))
    def the_spool_is(self, mood: str) -> None:
        self.spool.mood = mood

    @rule()
    def the_process_dies(self) -> None:
        self.database.close()
        self.database = Database(self.folder / "spool.sqlite")
        self.start()

    @invariant()
    def what_is_queued_is_a_beginning_of_what_was_accepted(self) -> None:
        queued = [(uid, _event(file)) for uid, file in self.spool.files]
        assert queued == self.events[: len(queued)]

    def teardown(self) -> None:
        """With room again, everything is queued, once, in order."""
        self.spool.mood = "well"
        assert self.service.queue()
        assert [(uid, _event(file)) for uid, file in self.spool.files] == self.events
        self.database.close()
        shutil.rmtree(self.folder)


def _event(file: bytes) -> str:
    """Value of (0002,0102), found by its octets."""
    _, _, rest = file.partition(b"\x02\x00\x02\x01OB\0\0")
    length = int.from_bytes(rest[:4], "little")
    return rest[4 : 4 + length].rstrip(b"\0").decode("ascii")


Steps.TestCase.settings = settings(max_examples=25, stateful_step_count=25)
TestSteps = Steps.TestCase
