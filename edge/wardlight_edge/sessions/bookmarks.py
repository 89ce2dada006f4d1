"""How far the memories of the devices are in the outbox: kept over restarts, one file a device.

In/Out  ``<device>.sealed``: the dialogue's bookmarks as JSON, mode 0600, sealed as the quarantine's
        files are, for a fingerprint of a reading is a guess away from it
Errors  none. A file that cannot be read or written is logged, and the device is asked for
        everything again: what comes twice has the same event id
"""

import logging
import re
from collections.abc import Callable
from pathlib import Path

import msgspec

from wardlight_edge.devices import Bookmark, Bookmarks
from wardlight_edge.sessions import private_file
from wardlight_shared.errors import StorageError

_logger = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Bookmark]).decode


class Shelf:
    """The bookmarks of all devices.

    seal, unseal  the gateway's cipher; ``unseal`` raises StorageError
    """

    def __init__(
        self, folder: Path, seal: Callable[[bytes], bytes], unseal: Callable[[bytes], bytes]
    ) -> None:
        self._folder = folder
        self._seal = seal
        self._unseal = unseal

    def read(self, device: str) -> Bookmarks:
        """What was kept last for this device; {} = nothing, or nothing that can be read."""
        try:
            return _decode(self._unseal(self._file(device).read_bytes()))
        except FileNotFoundError:
            return {}
        except (OSError, StorageError, msgspec.DecodeError, UnicodeDecodeError) as error:
            extra = {"device": device, "error": type(error).__name__}
            _logger.warning("bookmarks not read, everything is asked for", extra=extra)
            return {}

    def keep(self, device: str, bookmarks: Bookmarks) -> bool:
        """Replace them durably; blocks for a flush. False = the disk is in trouble."""
        try:
            private_file.replace(self._file(device), self._seal(_encode(bookmarks)))
        except OSError as error:
            extra = {"device": device, "error": str(error.strerror)}
            _logger.warning("bookmarks not written", extra=extra)
            return False
        return True

    def _file(self, device: str) -> Path:
        safe = re.sub(r"[^\w.-]", "-", device)
        return self._folder / f"{safe}.sealed"
