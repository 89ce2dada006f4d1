"""Who was told 0x0000 is not betrayed by a kill: the object is sent, or is still there.

A process receives, delivers and is killed at any step towards the disk, also while it reads a
database that was set aside and matches files with rows; between two of them the database may be
spoilt. What only rows told is there too, unless the rows themselves were spoilt. (A kill takes no
octet that was handed to the kernel; what a power cut takes, the tests of flushes ask.)
"""

import logging
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardlight_edge.imaging_settings import DicomSettings
from wardlight_edge.spool.base import ItemState
from wardlight_edge.spool.commitments import Asker, CommitmentTable, Reference
from wardlight_edge.spool.database import Database, mark_of
from wardlight_edge.spool.faults import SpoolDamaged
from wardlight_edge.spool.opening import open_receiving, open_sending
from wardlight_edge.spool.receiving import SqliteReceivingSpool
from wardlight_edge.spool.steps import StepEvent, StepState, StepTable
from wardlight_shared.blobs import BlobKind

KEY = bytes(range(32))
UIDS, CONTENTS = ("1.1", "1.2", "1.3"), ("a", "bb", "c" * 300_000)

_LONGEST_S = 300

Told = set[tuple[str, ...]]


class Life(NamedTuple):
    """A process: what it does, the step at which it is killed, and what happens before it."""

    acts: list[tuple[str, ...]]
    kill_at: int
    before: str


ACTS = st.one_of(
    st.tuples(st.just("store"), st.sampled_from(UIDS), st.sampled_from(CONTENTS)),
    st.tuples(st.just("store"), st.sampled_from(UIDS), st.sampled_from(CONTENTS)),
    st.tuples(st.just("at once"), st.sampled_from(UIDS), st.sampled_from(CONTENTS)),
    st.tuples(st.just("deliver")),
    st.tuples(st.just("ask"), st.sampled_from(("2.1", "2.2"))),
    st.tuples(st.just("step"), st.sampled_from(("3.1", "3.2"))),
)
LIVES = st.lists(
    st.builds(
        Life,
        st.lists(ACTS, max_size=5),
        st.one_of(st.integers(1, 12), st.integers(1, 60), st.integers(1, 250)),
        st.sampled_from(["", "", "called damaged", "noise", "gone", "emptied"]),
    ),
    min_size=1,
    max_size=4,
)


@given(LIVES)
@settings(max_examples=max(40, settings().max_examples // 2))  # each is some processes
def test_what_was_promised_is_sent_or_there(lives: list[Life]) -> None:
    folder = Path(tempfile.mkdtemp(prefix="kills"))
    try:
        promised: Told = set()
        for life in lives:
            if _happened(folder, life.before):
                promised = {each for each in promised if each[0] not in ("asked", "begun")}
            promised |= _lived(folder, life)
        there = _lived(folder, Life([("tell",)], 1 << 30, ""))
        for each in promised:
            kind, *what = each
            if kind == "stored":
                assert ("there", *what) in there or ("sent", *what) in promised, each
            elif kind in ("asked", "begun"):
                assert each in there, each
    finally:
        shutil.rmtree(folder)


def _happened(folder: Path, what: str) -> bool:
    """Something comes to the database; whether rows of it are lost."""
    file = folder / "dicom" / "spool.sqlite"
    if not file.exists() or what in ("", "called damaged"):
        if file.exists() and what:
            mark_of(file).touch()
        return False
    if what == "noise":
        file.write_bytes(os.urandom(file.stat().st_size))
    elif what == "emptied":
        os.truncate(file, 0)
    if what == "gone":
        file.unlink()
    for suffix in ("-wal", "-shm"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)
    return True


def _lived(folder: Path, life: Life) -> Told:
    """What a process has told before it was killed, or came to its end."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        with suppress(BaseException):
            _live(folder, life, writing)
        os._exit(7)
    os.close(writing)
    with os.fdopen(reading, "r", encoding="ascii") as told:
        lines = told.read().split("\n")[:-1]
    os.waitpid(child, 0)
    failed = [line for line in lines if line.startswith("failed")]
    assert not failed, failed
    return {tuple(line.split("\t")) for line in lines}


class Killer:
    """Ends the process at the n-th step towards the disk, before it or after it."""

    def __init__(self, kill_at: int) -> None:
        self._left = kill_at
        self._lock = threading.Lock()

    def step(self) -> None:
        with self._lock:
            self._left -= 1
            if self._left == 0:
                os._exit(9)

    def around(self, call: Callable[..., Any], *, is_done: bool = True) -> Callable[..., Any]:
        def stepwise(*arguments: Any, **named: Any) -> Any:
            self.step()
            found = call(*arguments, **named) if is_done else None
            self.step()
            return found

        return stepwise


def _live(folder: Path, life: Life, writing: int) -> None:
    logging.disable(logging.CRITICAL)
    signal.alarm(_LONGEST_S)  # one that hangs ends too, and has told what it has told
    write = os.write

    def tell(*words: str) -> None:
        write(writing, ("\t".join(words) + "\n").encode())

    try:
        with pytest.MonkeyPatch.context() as patch:
            _patched(patch, Killer(life.kill_at), is_damaged=life.before == "called damaged")
            with open_receiving(folder, KEY, DicomSettings(min_free_bytes=0)) as spool:
                for act in life.acts:
                    _act(folder, spool, act, tell)
    except BaseException as error:  # noqa: BLE001 - told to the test
        tell("failed", f"{type(error).__name__}: {error}".replace("\n", " "))
    os._exit(0)


def _patched(patch: pytest.MonkeyPatch, killer: Killer, *, is_damaged: bool) -> None:
    patch.setattr(os, "write", killer.around(os.write))
    for name in ("fsync", "fdatasync", "sync"):  # a kill needs none of them
        patch.setattr(os, name, killer.around(getattr(os, name), is_done=False))
    for name in ("rename", "replace", "unlink"):
        patch.setattr(Path, name, killer.around(getattr(Path, name)))
    patch.setattr(Database, "_commit", killer.around(Database._commit))
    check, left = Database.check, [is_damaged]

    def checked(self: Database, *, thorough: bool = False) -> None:
        if left[0]:
            left[0] = False
            raise SpoolDamaged("it is called so")
        check(self, thorough=thorough)

    patch.setattr(Database, "check", checked)


def _act(
    folder: Path, spool: SqliteReceivingSpool, act: Sequence[str], tell: Callable[..., None]
) -> None:
    match act:
        case ("store", uid, content):
            _store(spool, uid, content, tell)
        case ("at once", uid, content):
            senders = [
                threading.Thread(target=_store, args=(spool, uid, content, tell)) for _ in range(2)
            ]
            for sender in senders:
                sender.start()
            for sender in senders:
                sender.join()
        case ("ask", transaction):
            asker = Asker(transaction, "CT1", "W", "192.0.2.1")
            table = CommitmentTable(spool.database, spool.sealer)
            table.put(asker, [Reference("1.9", "1.1")], received_ms=1, now_ms=0)
            tell("asked", transaction)
        case ("step", uid):
            event = StepEvent(uid, "create", "CT1", "W", "192.0.2.1", 1, b"f")
            steps = StepTable(spool.database, spool.sealer)
            if steps.put(StepState("IN PROGRESS", 1, b"s"), event, 0):
                tell("begun", uid)
        case ("deliver",) | ("tell",):
            _uplink(folder, spool, act[0], tell)


def _store(spool: SqliteReceivingSpool, uid: str, content: str, tell: Callable[..., None]) -> None:
    incoming = spool.begin(BlobKind.INSTANCE, uid)
    incoming.write(content.encode())
    incoming.accept({"sop_instance": uid})
    tell("stored", uid, content[:9])


def _uplink(
    folder: Path, spool: SqliteReceivingSpool, what: str, tell: Callable[..., None]
) -> None:
    sending = open_sending(folder, KEY)
    assert sending is not None
    for item in sending.waiting(limit=1 if what == "deliver" else 1000):
        octets = sending.read(item.item, 0, item.size).decode()
        assert octets in CONTENTS
        uid = str(item.about["sop_instance"])
        if what == "tell":
            tell("there", uid, octets[:9])
            continue
        tell("sent", uid, octets[:9])
        sending.settle([item.item], ItemState.DELIVERED)
    sending.close()
    if what == "tell":
        for each in CommitmentTable(spool.database, spool.sealer).due(1 << 60):
            tell("asked", each.asked.transaction)
        for event in StepTable(spool.database, spool.sealer).waiting():
            tell("begun", event.event.sop_instance)
