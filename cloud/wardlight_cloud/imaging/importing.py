"""Takes files that lie in a folder, or came from a PACS, into store and index.

A file that is stored already costs its hash. One that is none of ours is left out with a reason
and stored nowhere; the others go on.
"""

import asyncio
import errno
import hashlib
import shutil
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from wardlight_cloud.imaging.custody import Held, ReceiptStore, committed
from wardlight_cloud.imaging.errors import HeaderError
from wardlight_cloud.imaging.folder import FoundFile
from wardlight_cloud.imaging.foreign_files import advice
from wardlight_cloud.imaging.intake import Headers, ImageIntake
from wardlight_cloud.store.image_arrivals import InstanceHeader, KnownFile, Source
from wardlight_cloud.store.imaging import InstanceRef
from wardlight_cloud.store.object_base import ObjectStore
from wardlight_shared.errors import StorageError

_AT_A_TIME: Final = 6
_IN_MEMORY_BYTES: Final = 4 * 1024 * 1024
_PIECE: Final = 1024 * 1024
_COPY_FOLDER: Final = "importing"
_NO_ROOM: Final = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EROFS))
_CHANGED: Final = "the file changed while it was read; import it again"
NEW: Final = "new"
KNOWN: Final = "known"
CONFLICT: Final = "conflict"
REJECTED: Final = "rejected"


class ImportStore(ReceiptStore, Protocol):
    """What an import asks of the index."""

    async def instance(self, sop_uid: str) -> InstanceRef | None:
        """See ImageStore."""

    async def file_known(self, sha256: bytes) -> KnownFile | None:
        """See ImageStore."""


@dataclass(slots=True)
class ImportReport:
    """What became of the files so far.

    ``unissued``: new ones whose patient id comes without an issuer. ``unsent``: (UID, why) of what
    a PACS was asked for and has not given, an instance or a study as a whole.
    """

    counts: Counter[str] = field(default_factory=Counter)
    octets: int = 0
    unissued: int = 0
    rejects: list[tuple[FoundFile, str]] = field(default_factory=list)
    conflicts: list[FoundFile] = field(default_factory=list)
    unsent: list[tuple[str, str]] = field(default_factory=list)

    @property
    def files(self) -> int:
        """How many were looked at."""
        return sum(self.counts.values())


class Importer:
    """Takes files; with ``is_dry`` it only says what would become of them."""

    def __init__(
        self,
        store: ImportStore,
        objects: ObjectStore,
        headers: Headers,
        intake: ImageIntake,
        *,
        data_dir: Path,
        largest_bytes: int,
        is_dry: bool,
    ) -> None:
        self._store = store
        self._objects = objects
        self._headers = headers
        self._intake = intake
        self._copies = data_dir / _COPY_FOLDER
        self._largest_bytes = largest_bytes
        self._is_dry = is_dry
        self._dry: dict[str, set[bytes]] = {}
        self.report = ImportReport()

    async def here(self, sop_uids: Sequence[str]) -> Collection[str]:
        """Those of these instances that are safe here, so that nobody has to send them."""
        return await committed(self._store, self._objects, sop_uids)

    async def take_all(self, files: Iterator[FoundFile], source: Source) -> ImportReport:
        """Take files, a few at a time; StorageError ends it, and it can be started again."""
        running: set[asyncio.Task[None]] = set()
        try:
            for file in files:
                if file.is_beside:  # after those that are shown: the first of a UID to come is
                    await asyncio.gather(*running)
                    running = set()
                if len(running) >= _AT_A_TIME:
                    done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        task.result()
                running.add(asyncio.create_task(self.take(file, source), name="import"))
            await asyncio.gather(*running)
        finally:
            for task in running:
                task.cancel()
        return self.report

    async def take(self, file: FoundFile, source: Source) -> None:
        """Take one file and count what became of it."""
        reason = file.skipped or self._unfit(file)
        if reason is not None:
            is_large = file.skipped is None and file.size > 0
            self.reject(file, (await _advice(file) if is_large else None) or reason)
            return
        try:
            outcome = await self._outcome(file, source)
        except HeaderError as error:
            # A preamble may begin as an archive does: what is DICOM was judged as that.
            known = await _advice(file) if error.reason == "preamble" else None
            self.reject(file, known or f"{error.reason}: {error}")
        except OSError as error:
            self.reject(file, f"cannot be read ({error.strerror})")
        else:
            self.report.counts[outcome] += 1
            self.report.octets += file.size if outcome != KNOWN else 0
            if outcome == CONFLICT:
                self.report.conflicts.append(file)

    def _unfit(self, file: FoundFile) -> str | None:
        if file.size == 0:
            return "an empty file"
        if file.size > self._largest_bytes:
            return f"larger than objects.largest_bytes ({self._largest_bytes})"
        return None

    def reject(self, file: FoundFile, reason: str) -> None:
        """Count a file that is not taken."""
        self.report.counts[REJECTED] += 1
        self.report.rejects.append((file, reason))

    async def _outcome(self, file: FoundFile, source: Source) -> str:
        sha256, size = await asyncio.to_thread(_hash_of, file.path)
        if size != file.size:  # what was judged by its size, and is indexed with it, is another one
            raise HeaderError("changed", _CHANGED)
        if self._is_dry:
            return await self._foreseen(file, sha256)
        if await self._is_here(file, sha256, source):
            return KNOWN
        await self._header(file.path)  # before anything of it is stored
        await self._put(file, sha256)
        taken = await self._intake.take(sha256, file.size, source)
        outcome = {"stored": NEW, "known": KNOWN, "conflict": CONFLICT}[taken.outcome.value]
        self._note_issuer(taken.header, outcome)
        return outcome

    async def _foreseen(self, file: FoundFile, sha256: bytes) -> str:
        if await self._store.file_known(sha256) is not None:
            return KNOWN
        header = await self._header(file.path)
        other = await self._store.instance(header.sop_uid)
        # What would be taken before it counts as if it were there.
        files = self._dry.setdefault(header.sop_uid, {other.sha256} if other else set())
        outcome = KNOWN if sha256 in files else CONFLICT if files else NEW
        files.add(sha256)
        self._note_issuer(header, outcome)
        return outcome

    async def _header(self, path: Path) -> InstanceHeader:
        try:
            return await self._headers.read(path)
        except StorageError:
            # It was hashed a moment ago; if it is gone or unreadable by now, the others are not.
            await asyncio.to_thread(_check_readable, path)
            raise

    def _note_issuer(self, header: InstanceHeader, outcome: str) -> None:
        if outcome != KNOWN and header.patient_id and not header.issuer.strip():
            self.report.unissued += 1

    async def _is_here(self, file: FoundFile, sha256: bytes, source: Source) -> bool:
        held = await self._intake.custody.held(sha256, file.size)
        return held is Held.WHOLE and await self._intake.known(sha256, source)

    async def _put(self, file: FoundFile, sha256: bytes) -> None:
        """Store a copy: the file stays where it is."""
        if file.size <= _IN_MEMORY_BYTES:
            octets = await asyncio.to_thread(file.path.read_bytes)
            if hashlib.sha256(octets).digest() != sha256:
                raise HeaderError("changed", _CHANGED)
            await self._objects.put(sha256, octets)
            return
        with self._own_folder() as folder:
            copy = Path(folder, "copy")
            try:
                await asyncio.to_thread(shutil.copyfile, file.path, copy)
            except OSError as error:
                if error.errno in _NO_ROOM:  # ours: the next file would have none, either
                    raise self._unwritable(error) from error
                raise
            if await asyncio.to_thread(_hash_of, copy) != (sha256, file.size):
                raise HeaderError("changed", _CHANGED)
            await self._objects.put_file(sha256, copy)

    def _own_folder(self) -> tempfile.TemporaryDirectory[str]:
        try:
            self._copies.mkdir(parents=True, exist_ok=True)
            return tempfile.TemporaryDirectory(dir=self._copies)
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> StorageError:
        return StorageError(f"{self._copies}: cannot be written ({error.strerror})")


def _hash_of(path: Path) -> tuple[bytes, int]:
    """Hash and octets."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
            size += len(piece)
    return digest.digest(), size


def _check_readable(path: Path) -> None:
    """OSError where it cannot be opened."""
    with path.open("rb"):
        pass


async def _advice(file: FoundFile) -> str | None:
    return await asyncio.to_thread(advice, file.path)
