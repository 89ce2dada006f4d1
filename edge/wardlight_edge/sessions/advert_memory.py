"""What a gateway knows of an advertising device over restarts, so that nothing is taken twice.

In/Out  sealed_files.py: one Kept a device, as MessagePack
Errors  none. Where its file cannot be read or written a recording can be played once
"""

import secrets
from collections.abc import Callable
from pathlib import Path

import msgspec

from wardlight_edge.sessions.sealed_files import SealedFiles

_TOKEN_BYTES = 8


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


_encode = msgspec.msgpack.Encoder().encode
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
        holds = ("memory of adverts", "it begins anew")
        self._files = SealedFiles(folder, seal, unseal, encode=_encode, decode=_decode, holds=holds)

    def read(self, device: str) -> Kept | None:
        """What was kept last for this device; None = nothing, or nothing that can be read."""
        return self._files.read(device)

    def keep(self, device: str, kept: Kept) -> bool:
        """Replace it durably; blocks for two flushes. False = the disk is in trouble."""
        return self._files.keep(device, kept)
