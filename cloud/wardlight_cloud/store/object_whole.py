"""Whether an object is what its name says: every octet of it is read.

Errors  StorageError of the store that is read
"""

import asyncio
import hashlib

from wardlight_cloud.store.object_base import ObjectMissingError, ObjectStore


async def is_whole(objects: ObjectStore, sha256: bytes) -> bool:
    """Whether there is an object of this hash, and its octets have it."""
    digest = hashlib.sha256()
    try:
        async for piece in objects.stream(sha256):
            await asyncio.to_thread(digest.update, piece)
    except ObjectMissingError:
        return False
    return digest.digest() == sha256
