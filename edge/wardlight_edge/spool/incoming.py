"""One file while it is received: written as it comes, then known, accepted or gone.

Errors  SpoolFull, StorageError
"""

from typing import TYPE_CHECKING

from wardlight_edge.spool.base import About, Accepted
from wardlight_edge.spool.room import Claim
from wardlight_edge.spool.rows import Trailer, encode_trailer
from wardlight_edge.spool.writer import SegmentWriter
from wardlight_shared.blobs import BlobKind

if TYPE_CHECKING:
    from wardlight_edge.spool.receiving import SqliteReceivingSpool


class IncomingFile:
    """A file while it is received. Of one thread."""

    def __init__(
        self,
        spool: "SqliteReceivingSpool",
        writer: SegmentWriter,
        claim: Claim,
        name: bytes,
        *,
        kind: BlobKind,
        key: str,
        sender: str,
    ) -> None:
        self._spool = spool
        self._writer = writer
        self._claim = claim
        self._name = name
        self._kind = kind
        self._key = key
        self._sender = sender
        self.size = 0

    def write(self, octets: bytes | memoryview) -> None:
        """Append octets; SpoolFull or StorageError when the disk refuses."""
        self.size += len(octets)
        self._claim.grow(self.size)
        self._writer.write(octets)

    def accept(self, about: About) -> Accepted:
        """Sync, rename, commit the row; only then the sender may be told."""
        try:
            trailer = self._trailer(about)
            accepted = self._repeated(trailer) or self._entered(trailer)
        except BaseException:
            self.abandon()
            raise
        self._claim.release(0 if accepted.known else self._writer.disk_bytes)
        return accepted

    def abandon(self) -> None:
        """Leave no trace; may be called at any time."""
        self._writer.abandon()
        self._claim.release()

    def _trailer(self, about: About) -> Trailer:
        received_ms, ordinal = self._spool.next_place()
        return Trailer(
            kind=self._kind,
            key=self._key,
            sender=self._sender,
            received_ms=received_ms,
            sha256=self._writer.complete(),
            size=self.size,
            about=dict(about),
            ordinal=ordinal,
        )

    def _repeated(self, trailer: Trailer) -> Accepted | None:
        same = self._spool.known(trailer)
        if same is None:
            return None
        self._writer.abandon()
        return Accepted(same.item, known=True, conflict=bool(same.about.get("conflict")))

    def _entered(self, trailer: Trailer) -> Accepted:
        self._writer.finish(encode_trailer(trailer))
        return self._spool.take(self._writer, self._name, trailer)
