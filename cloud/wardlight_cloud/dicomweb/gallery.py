"""Pictures that were made: each is made once, however many ask, and kept while there is room."""

import asyncio
from collections import OrderedDict
from typing import Final

from wardlight_cloud.dicomweb.jobs import Making, key_of
from wardlight_cloud.dicomweb.octets import Segment
from wardlight_cloud.dicomweb.workshop import Workshop
from wardlight_cloud.store.imaging import InstanceRef

_LARGEST_SHARE: Final = 8  # a picture over an eighth of the room is not kept


class Gallery:
    """Pictures by the hash of their object and how they look; the least used leave first."""

    def __init__(self, workshop: Workshop, *, room_bytes: int) -> None:
        self._workshop = workshop
        self._room_bytes = room_bytes
        self._held_bytes = 0
        self._held: OrderedDict[bytes, bytes] = OrderedDict()
        self._making: dict[bytes, asyncio.Task[Segment]] = {}

    def key(
        self, ref: InstanceRef | None, making: Making, state: InstanceRef | None = None
    ) -> bytes:
        """What a picture is known by."""
        return b"".join(each.sha256 for each in (ref, state) if each is not None) + key_of(making)

    async def made(
        self, ref: InstanceRef, making: Making, state: InstanceRef | None = None
    ) -> Segment:
        """The picture; raises DicomWebError as Workshop does. ``state``: as Workshop has it."""
        key = self.key(ref, making, state)
        held = self._held.get(key)
        if held is not None:
            self._held.move_to_end(key)
            return held
        task = self._making.get(key)
        if task is None:
            task = asyncio.create_task(self._workshop.make(ref, making, state), name="picture")
            self._making[key] = task
            task.add_done_callback(lambda done: self._finished(key, done))
        # Whoever goes away does not take the picture from the others that wait for it.
        return await asyncio.shield(task)

    def _finished(self, key: bytes, task: "asyncio.Task[Segment]") -> None:
        self._making.pop(key, None)
        if not task.cancelled() and task.exception() is None:
            self._keep(key, task.result())

    def _keep(self, key: bytes, octets: Segment) -> None:
        if not isinstance(octets, bytes) or len(octets) > self._room_bytes // _LARGEST_SHARE:
            return
        self._held[key] = octets
        self._held_bytes += len(octets)
        while self._held_bytes > self._room_bytes:
            _, dropped = self._held.popitem(last=False)
            self._held_bytes -= len(dropped)
