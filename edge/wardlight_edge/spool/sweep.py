"""What the imaging process finds at its start: files and rows that a kill or a disk left unmatched.

A file without a row was received whole, but its row was not committed, or the database was lost: it
is entered again when every octet of it still opens, as if it had come now. What does not open is
set aside for a person, and looked at again at each start: a disk may have been mended. What cannot
be opened for another reason than its octets stays where it is. A row without its file is DAMAGED.
Nothing of this is silent: it is counted, shown, and told to the cloud with the gateway's health.

Errors  StorageError
"""

import hashlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from wardlight_edge.spool.base import ItemState
from wardlight_edge.spool.damage import disk_bytes
from wardlight_edge.spool.receiving import PART, SqliteReceivingSpool
from wardlight_edge.spool.rows import Trailer, decode_trailer
from wardlight_edge.spool.segments import DamagedFile, SegmentReader
from wardlight_shared.errors import StorageError

_log = logging.getLogger(__name__)
_PORTION_BYTES: Final = 1 << 20


class Swept(msgspec.Struct, frozen=True):
    """What was found.

    entered    files entered again
    set_aside  files set aside now
    lost       items whose file is gone
    returned   files that had been set aside and open now; among ``entered``
    unopened   files that stay where they are, as nothing is known of their octets
    """

    entered: int = 0
    set_aside: int = 0
    lost: int = 0
    returned: int = 0
    unopened: int = 0


class Sweep:
    """One pass over folder and table; nobody receives meanwhile.

    aside  folder for files that do not open
    """

    def __init__(self, spool: SqliteReceivingSpool, key: bytes, aside: Path) -> None:
        self._spool = spool
        self._key = key
        self._aside = aside
        self._set_aside = 0
        self._unopened = 0

    def run(self) -> Swept:
        """Match files and rows."""
        returned = sum(map(self._returns, self._files_aside()))
        files = dict(self._files())
        lost = sum(self._check(row, files) for row in self._rows())
        whole = [(name, trailer) for name in files if (trailer := self._verified(name))]
        # What the process before had not flushed when it was killed counts as kept from now on.
        os.sync()
        # As they came: the messages of a procedure step are told in their order.
        for name, trailer in sorted(whole, key=_place):
            self._enter(name, trailer)
        swept = Swept(len(whole), self._set_aside, lost, returned, self._unopened)
        if swept != Swept():
            _log.warning("spool swept", extra=msgspec.structs.asdict(swept))
        return swept

    def _files(self) -> Iterator[tuple[bytes, int]]:
        """Name and size of each file; what was not received to its end is removed."""
        with os.scandir(self._spool.folder) as found:
            for entry in found:
                if entry.name.endswith(PART):
                    Path(entry.path).unlink()
                    continue
                try:
                    yield bytes.fromhex(entry.name), entry.stat().st_size
                except ValueError:
                    _log.warning("a file that is not the spool's is left alone")

    def _rows(self) -> list[tuple[int, bytes, int, str]]:
        return self._spool.database.rows("SELECT item, name, disk_bytes, state FROM item")

    def _check(self, row: tuple[int, bytes, int, str], files: dict[bytes, int]) -> bool:
        """Take a row's file out of ``files``; True = it is gone or not whole."""
        item, name, counted, state = row
        size = files.pop(name, None)
        if state in (ItemState.DELIVERED, ItemState.ASKED, ItemState.DROPPED):
            if size is not None:
                self._spool.file_of(name).unlink(missing_ok=True)
            return False
        if size == counted:
            return False
        if state == ItemState.WAITING:
            self._spool.mark_damaged(item, name, "its file is gone or cut short")
            return True
        self._spool.database.write(
            lambda changes: changes.execute(
                "UPDATE item SET disk_bytes = ? WHERE item = ?", (size or 0, item)
            )
        )
        return False

    def _verified(self, name: bytes) -> Trailer | None:
        """What a file without a row is; None = it does not open and was set aside."""
        file = self._spool.file_of(name)
        try:
            return verified(file, self._key)
        except StorageError as error:
            if not file.exists():  # it was delivered meanwhile
                return None
            is_damaged = isinstance(error, DamagedFile)
            _log.error(
                "a file of the spool does not open",
                extra={"reason": str(error), "set_aside": is_damaged},
            )
            if is_damaged:
                self._aside.mkdir(mode=0o700, exist_ok=True)
                file.replace(self._aside / file.name)
            self._set_aside += is_damaged
            self._unopened += not is_damaged
            return None

    def _files_aside(self) -> list[Path]:
        return sorted(self._aside.iterdir()) if self._aside.is_dir() else []

    def _returns(self, file: Path) -> bool:
        """Whether a file that was set aside opens now: it is back among the others then."""
        try:
            name = bytes.fromhex(file.name)
            verified(file, self._key)
        except (StorageError, ValueError):
            return False
        file.replace(self._spool.file_of(name))
        return True

    def _enter(self, name: bytes, trailer: Trailer) -> None:
        file = self._spool.file_of(name)
        if self._spool.enter(name, trailer, disk_bytes(file)).known:
            file.unlink(missing_ok=True)


def _place(found: tuple[bytes, Trailer]) -> int:
    return found[1].ordinal or found[1].received_ms


def verified(file: Path, key: bytes) -> Trailer:
    """What a file says of itself, when every octet of it opens and its hash is right."""
    digest = hashlib.sha256()
    with SegmentReader(file, key) as reader:
        trailer = decode_trailer(reader.trailer)
        for offset in range(0, reader.size, _PORTION_BYTES):
            digest.update(reader.read(offset, _PORTION_BYTES))
        if (reader.size, digest.digest()) != (trailer.size, trailer.sha256):
            raise DamagedFile(f"{file.name}: its octets are not what was received")
    return trailer
