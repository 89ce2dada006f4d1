"""A cuff's memory at the other end of a dialogue, without a radio."""

from collections import deque

from wardlight_edge.devices import KEY, Bookmark, Bookmarks, Dialogue, Fetched, Steps, Write
from wardlight_edge.devices._dialogue import Step
from wardlight_lab.devices.omron_memory import COMMANDS, LOCK, CuffMemory

SECRET = Bookmark(mark="0123456789ABCDEF" * 2)
FRESH: Bookmarks = {KEY: SECRET}


class Talk:
    """Carries what a dialogue writes to a cuff, and what the cuff answers back.

    lost_after  that many writes reach the cuff, then the link is over; None = it stands
    """

    def __init__(self, dialogue: Dialogue, cuff: CuffMemory) -> None:
        self._dialogue = dialogue
        self._cuff = cuff
        self.now_ms = 0
        self.told: list[Step] = []

    def link(self, lost_after: int | None = None) -> list[Step]:
        """One link, until the dialogue asks for nothing more; returns the steps of the session."""
        self.told = []
        waiting = deque(self._dialogue.begin(self.now_ms))
        while lost_after is None or lost_after >= 0:
            self._dialogue.committed()
            if not waiting:
                deadline_ms = self._dialogue.deadline_ms
                if deadline_ms is None:
                    break
                self.now_ms = deadline_ms
                waiting += self._dialogue.tick(self.now_ms)
                continue
            step = waiting.popleft()
            if isinstance(step, Write):
                lost_after = None if lost_after is None else lost_after - 1
                if lost_after != -1:
                    waiting += self._written(step)
            else:
                self.told.append(step)
        self._dialogue.link_lost()
        self._cuff.disconnected()
        return self.told

    def records(self) -> list[Fetched]:
        """The records of the last link."""
        return [step for step in self.told if isinstance(step, Fetched)]

    def _written(self, step: Write) -> Steps:
        answer = {LOCK: self._cuff.written_to_lock, COMMANDS: self._cuff.commanded}
        found: Steps = ()
        for uuid, octets in answer[step.channel.lower()](step.octets):
            found += self._dialogue.value(uuid.upper(), octets, self.now_ms)
        return found
