"""Opening one outbox file: tables, epoch, keys, boot number, dictionary, anchors, directory.

The epoch stands in `meta` and again in the header (application_id, user_version), the dictionary
in two tables: no single damaged page makes every row unreadable.

Errors  ConfigError: the key does not fit, or a newer program made the file (nothing was touched)
        OutboxCorrupt: damaged; StorageError: cannot be opened
"""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from wardlight_edge.outbox.anchor_table import read_anchors, write_anchors
from wardlight_edge.outbox.anchors import keep_best
from wardlight_edge.outbox.cipher import Cipher, DamagedRow
from wardlight_edge.outbox.database import Database
from wardlight_edge.outbox.dictionary import Dictionary, read_series
from wardlight_edge.outbox.trace import one_after_another
from wardlight_shared.errors import ConfigError, OutboxCorrupt, StorageError
from wardlight_shared.timestamps import Anchor

SCHEMA: Final = 2
"""1: every record has a row of its own; 2: some share one (packing.py). The tables are the same."""

SCHEMA_OF: Final = "SELECT value FROM meta WHERE name = 'schema'"

_BOOT_JUMP: Final = 1 << 16
_EPOCH_BYTES: Final = 8
_CHECK: Final = b"check"


class Carried(msgspec.Struct, frozen=True):
    """What a new file takes over from the one it replaces, so that old rows keep their meaning.

    boots     boot number to boot id
    anchors   clock anchors of those boots
    salvages  rows for the table `salvage`: files whose rows are to be accepted again
    before    epochs that the new file comes after, newest first
    """

    boots: Mapping[int, str]
    anchors: Sequence[Anchor]
    salvages: Sequence[tuple[str, str, int, int, int]]  # file, cause, epoch, highest, expected
    before: Sequence[int] = ()


class OutboxFile:
    """An open file: its database, cipher, epoch and small tables."""

    def __init__(self, database: Database, cipher: Cipher, epoch: int) -> None:
        self.database = database
        self.cipher = cipher
        self.epoch = epoch
        self.boot = 0
        self.before = read_before(database)
        """The epochs that this file comes after; their last rows may be in it."""
        self._anchors = read_anchors(database, cipher)

    @property
    def anchors(self) -> list[Anchor]:
        """Clock anchors of all boots, in order of boot and time."""
        return list(self._anchors)

    def enter_boot(self, boot_id: str) -> None:
        """Find or make the number of the running boot."""
        find = "SELECT number FROM boot WHERE boot_id = ?"
        number = self.database.value(find, (boot_id,))
        if number is None:
            with self.database.transaction():
                self.database.execute(
                    "INSERT INTO boot SELECT coalesce(max(number), 0) + 1, ? FROM boot", (boot_id,)
                )
            number = self.database.value(find, (boot_id,))
        self.boot = int(number)

    def boots(self) -> dict[int, str]:
        """Boot number to boot id."""
        return dict(self.database.rows("SELECT number, boot_id FROM boot"))

    def add_anchor(self, anchor: Anchor, *, forget_other_boots: bool) -> None:
        """Keep the best anchors of the anchor's boot; drop others when no row needs them."""
        same = [one for one in self._anchors if one.boot == anchor.boot]
        others = [one for one in self._anchors if one.boot != anchor.boot]
        if forget_other_boots:
            others = [one for one in others if one.boot == self.boot]
        kept = others + keep_best([*same, anchor])
        if kept != self._anchors:
            with self.database.unsynced(), self.database.transaction():
                self.database.execute("DELETE FROM anchor")
                write_anchors(self.database, self.cipher, kept)
            self._anchors = kept

    def keep_before(self, epochs: Iterable[int]) -> None:
        """Keep the epochs that this file comes after."""
        before = one_after_another(epochs)
        if before != self.before:
            with self.database.transaction():
                _write_before(self.database, before)
            self.before = before

    def close(self) -> None:
        """Close the database."""
        self.database.close()


def open_file(
    path: Path, key: bytes, *, quota_bytes: int, dictionary: Dictionary, carried: Carried
) -> OutboxFile:
    """Open ``path``, or make it with what ``carried`` holds; checks structure and key."""
    database = Database(path, quota_bytes=quota_bytes)
    try:
        if database.is_empty():
            return _make(database, key, dictionary, carried)
        database.check()
        return _open(database, key, dictionary)
    except BaseException:
        database.close()
        raise


def read_epoch(database: Database) -> int:
    """Epoch of a file, from `meta` or else from the header; OutboxCorrupt when both are lost."""
    try:
        epoch = database.value("SELECT value FROM meta WHERE name = 'epoch'")
    except StorageError:
        epoch = None
    if isinstance(epoch, int) and epoch > 0:
        return epoch
    high = int(database.value("PRAGMA application_id"))
    low = int(database.value("PRAGMA user_version")) & 0xFFFFFFFF
    if not high and not low:
        raise OutboxCorrupt(f"{database.path}: the epoch is lost")
    return high << 32 | low


def read_before(database: Database) -> tuple[int, ...]:
    """The epochs that a file comes after; they stand in its trace too."""
    packed = database.value("SELECT value FROM meta WHERE name = 'before'")
    if not isinstance(packed, bytes) or len(packed) % _EPOCH_BYTES:
        return ()
    places = range(0, len(packed), _EPOCH_BYTES)
    return tuple(int.from_bytes(packed[at : at + _EPOCH_BYTES], "big") for at in places)


def _write_before(database: Database, before: Sequence[int]) -> None:
    packed = b"".join(epoch.to_bytes(_EPOCH_BYTES, "big") for epoch in before)
    database.execute("INSERT OR REPLACE INTO meta VALUES ('before', ?)", (packed,))


def _make(database: Database, key: bytes, dictionary: Dictionary, carried: Carried) -> OutboxFile:
    epoch = secrets.randbelow((1 << 63) - 1) + 1
    cipher = Cipher(key, epoch)
    meta = [("schema", SCHEMA), ("epoch", epoch), ("highest", 0)]
    with database.transaction():
        database.create_schema()
        database.insert_many("INSERT INTO meta VALUES (?, ?)", meta)
        database.execute(
            "INSERT INTO meta VALUES ('key_check', ?)", (cipher.seal_entry(_CHECK, 0, _CHECK),)
        )
        low = epoch & 0xFFFFFFFF
        database.execute(f"PRAGMA application_id = {epoch >> 32}")
        database.execute(f"PRAGMA user_version = {low - (low >> 31 << 32)}")
        database.insert_many("INSERT INTO boot VALUES (?, ?)", list(carried.boots.items()))
        dictionary.write_all(database, cipher)
        write_anchors(database, cipher, carried.anchors)
        database.insert_many(
            "INSERT INTO salvage VALUES (?, ?, ?, 1, ?, ?, 0, 0)", carried.salvages
        )
        _write_before(database, carried.before)
    return OutboxFile(database, cipher, epoch)


def refuse_newer(path: Path, schema: object) -> None:
    """ConfigError when a newer program made the file: this one would take its rows for damage."""
    if isinstance(schema, int) and schema > SCHEMA:
        raise ConfigError(
            f"{path}: made by a newer program (schema {schema}, known {SCHEMA}); "
            "install that program again: the file holds data not yet delivered"
        )


def _open(database: Database, key: bytes, dictionary: Dictionary) -> OutboxFile:
    schema = database.value(SCHEMA_OF)
    refuse_newer(database.path, schema)
    epoch = read_epoch(database)
    cipher = Cipher(key, epoch)
    _check_key(database, cipher)
    series, whole = read_series(database, cipher)
    if not whole:
        raise OutboxCorrupt(f"{database.path}: both copies of the series dictionary are damaged")
    dictionary.restore(series, complete=True)
    if schema != SCHEMA:
        # Rows of schema 1 are rows of schema 2; this keeps out a program that knows only those.
        with database.transaction():
            database.execute("INSERT OR REPLACE INTO meta VALUES ('schema', ?)", (SCHEMA,))
    return OutboxFile(database, cipher, epoch)


def _check_key(database: Database, cipher: Cipher) -> None:
    """A wrong key must not look like damage: then every row would be given up."""
    sealed = database.value("SELECT value FROM meta WHERE name = 'key_check'")
    try:
        cipher.open_entry(_CHECK, 0, sealed if isinstance(sealed, bytes) else b"")
    except DamagedRow as error:
        if _opens_anything(database, cipher):
            raise OutboxCorrupt(f"{database.path}: the table meta is damaged") from error
        raise ConfigError(
            f"{database.path}: the outbox key does not open this file. Put the right key file "
            "back; or, to give up the records in it, move the file away and start again"
        ) from error


def _opens_anything(database: Database, cipher: Cipher) -> bool:
    for row in database.rows("SELECT seq, body FROM record ORDER BY seq LIMIT 100"):
        try:
            cipher.open(*row)
        except DamagedRow:
            continue
        return True
    return bool(read_series(database, cipher)[0])


def carry_over(database: Database, cipher: Cipher) -> tuple[dict[int, str], list[Anchor]]:
    """Boots and anchors of a damaged file, as far as they can be read."""
    boots: dict[int, str] = {}
    try:
        for number, boot_id in database.stream("SELECT number, boot_id FROM boot"):
            boots[number] = boot_id
    except StorageError:
        # Rows may carry boot numbers that are not named any more: never give those again.
        boots[max(boots, default=0) + _BOOT_JUMP] = "boots whose names were lost"
    try:
        anchors = read_anchors(database, cipher)
    except StorageError:
        anchors = []
    return boots, anchors
