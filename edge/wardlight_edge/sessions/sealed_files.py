"""What a gateway must know of its devices over restarts and nobody else may read.

In/Out  ``<device>.sealed``, mode 0600: one value a device, replaced whole and durably; sealed as
        the quarantine's files are, for a digest of a reading is a guess away from it
Errors  none. A file that cannot be read or written is logged, with what follows from that
"""

import contextlib
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from wardlight_edge.sessions import private_file
from wardlight_shared.errors import StorageError

_Value = TypeVar("_Value")
_logger = logging.getLogger(__name__)


class SealedFiles(Generic[_Value]):
    """The files of all devices that hold one kind of value.

    seal, unseal    the gateway's cipher; ``unseal`` raises StorageError
    encode, decode  a value as octets and back; ``decode`` raises msgspec.DecodeError
    holds           what the files hold, and what follows when one cannot be read: for the log
    """

    def __init__(
        self,
        folder: Path,
        seal: Callable[[bytes], bytes],
        unseal: Callable[[bytes], bytes],
        *,
        encode: Callable[[_Value], bytes],
        decode: Callable[[bytes], _Value],
        holds: tuple[str, str],
    ) -> None:
        self._folder = folder
        self._seal = seal
        self._unseal = unseal
        self._encode = encode
        self._decode = decode
        self._holds, self._consequence = holds

    def read(self, device: str, absent: _Value | None = None) -> _Value | None:
        """What was kept last; ``absent`` = nothing was, None = that cannot be read."""
        try:
            return self._decode(self._unseal(self._file(device).read_bytes()))
        except FileNotFoundError:
            return absent
        except (OSError, StorageError, msgspec.DecodeError, UnicodeDecodeError) as error:
            extra = {"device": device, "error": type(error).__name__}
            _logger.warning("%s not read, %s", self._holds, self._consequence, extra=extra)
            return None

    def keep(self, device: str, value: _Value) -> bool:
        """Replace what is kept, durably; blocks for two flushes. False: the disk is in trouble."""
        sealed = self._seal(self._encode(value))
        return self._written(device, lambda file: private_file.replace(file, sealed))

    def forget(self, device: str) -> bool:
        """Keep nothing of a device. False: the disk is in trouble."""
        return self._written(device, lambda file: file.unlink(missing_ok=True))

    def set_aside(self, device: str) -> None:
        """Leave a file that cannot be read to whoever looks for it, as ``.damaged``."""
        file = self._file(device)
        with contextlib.suppress(OSError):
            file.replace(file.with_suffix(".damaged"))

    def _written(self, device: str, write: Callable[[Path], None]) -> bool:
        try:
            write(self._file(device))
        except OSError as error:
            extra = {"device": device, "error": str(error.strerror)}
            _logger.warning("%s not written", self._holds, extra=extra)
            return False
        return True

    def _file(self, device: str) -> Path:
        return self._folder / f"{name_of(device)}.sealed"


def name_of(device: str) -> str:
    """The identity of a device as part of a file's name."""
    return re.sub(r"[^\w.-]", "-", device)
