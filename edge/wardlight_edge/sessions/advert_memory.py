"""What a gateway knows of an advertising device over restarts, so that nothing is taken twice.

In/Out  ``<device>.sealed``: one Kept as MessagePack, mode 0600, sealed as the quarantine's files
        are, for a digest of a reading is a guess away from it
Errors  none. A file that cannot be read or written is logged; then a recording can be played once
"""

import logging
import re
import secrets
from collections.abc import Callable
from pathlib import Path

import msgspec

from wardlight_edge.sessions import private_file
from wardlight_shared.errors import StorageError

_TOKEN_BYTES = 8
_logger = logging.getLogger(__name__)
_encode = msgspec.msgpack.Encoder().encode


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """One device.

    token              names this file's life: numbers of a file that was lost never come again
    number             events made since then
    receiver           ``AdvertReceiver.memory``
    refusing_since_ms  wall clock when the outbox began to refuse, None = it does not
    """

    token: bytes
    number: int = 0
    receiver: bytes = b""
    refusing_since_ms: int | None = None


_decode = msgspec.msgpack.Decoder(Kept).decode


def beginning() -> Kept:
    """Nothing is known."""
    return Kept(secrets.token_bytes(_TOKEN_BYTES))


class AdvertMemories:
    """The memories of all devices.

    seal, unseal  the gateway's cipher; ``unseal`` raises StorageError
    """

    def __init__(
        self, folder: Path, seal: Callable[[bytes], bytes], unseal: Callable[[bytes], bytes]
    ) -> None:
        self._folder = folder
        self._seal = seal
        self._unseal = unseal

    def read(self, device: str) -> Kept | None:
        """What was kept last for this device; None = nothing, or nothing that can be read."""
        try:
            return _decode(self._unseal(self._file(device).read_bytes()))
        except FileNotFoundError:
            return None
        except (OSError, StorageError, msgspec.DecodeError) as error:
            extra = {"device": device, "error": type(error).__name__}
            _logger.warning("memory of adverts not read, it begins anew", extra=extra)
            return None

    def keep(self, device: str, kept: Kept) -> bool:
        """Replace it durably; blocks for two flushes. False = the disk is in trouble."""
        try:
            private_file.replace(self._file(device), self._seal(_encode(kept)))
        except OSError as error:
            extra = {"device": device, "error": str(error.strerror)}
            _logger.warning("memory of adverts not written", extra=extra)
            return False
        return True

    def _file(self, device: str) -> Path:
        safe = re.sub(r"[^\w.-]", "-", device)
        return self._folder / f"{safe}.sealed"
