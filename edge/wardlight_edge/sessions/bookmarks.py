"""How far the memories of the devices are in the outbox: kept over restarts.

In/Out  sealed_files.py: a dialogue's bookmarks for each device, as JSON
Errors  none. Where its file cannot be read or written the device is asked for everything again:
        what comes twice has the same event id
"""

from collections.abc import Callable
from pathlib import Path

import msgspec

from wardlight_edge.devices import Bookmark, Bookmarks
from wardlight_edge.sessions.sealed_files import SealedFiles

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Bookmark]).decode


class Shelf:
    """The bookmarks of all devices.

    seal, unseal  the gateway's cipher; ``unseal`` raises StorageError
    """

    def __init__(
        self, folder: Path, seal: Callable[[bytes], bytes], unseal: Callable[[bytes], bytes]
    ) -> None:
        self._files = SealedFiles[Bookmarks](
            folder,
            seal,
            unseal,
            encode=_encode,
            decode=_decode,
            holds=("bookmarks", "everything is asked for"),
        )

    def read(self, device: str) -> Bookmarks:
        """What was kept last for this device; {} = nothing, or nothing that can be read."""
        return self._files.read(device) or {}

    def keep(self, device: str, bookmarks: Bookmarks) -> bool:
        """Replace them durably; blocks for two flushes. False = the disk is in trouble."""
        return self._files.keep(device, bookmarks)
