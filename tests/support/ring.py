"""A ring at the other end of a dialogue, without a radio."""

from datetime import datetime, timedelta

from wardlight_edge.devices import Bookmarks, Dialogue, Fetched, Steps, Write, viatom_o2
from wardlight_edge.devices._dialogue import Step
from wardlight_lab.devices.ring_files import RingFiles

REPLY = "0734594A-A8E7-4B1A-A6B1-CD5243059A57"
NIGHT = datetime(2026, 11, 20, 22, 15)  # noqa: DTZ001 - a ring's wall clock
PIECE = 20


def dialogue_of(bookmarks: Bookmarks) -> Dialogue:
    """The dialogue of a profile that wants files."""
    return viatom_o2.dialogue({"files": True}, bookmarks)


def values_of(count: int, first: int = 0) -> list[tuple[int, int]]:
    """So many different pairs."""
    return [(90 + (first + place) % 10, 50 + (first + place) % 100) for place in range(count)]


class Wearing:
    """Carries writes and replies; its time is the ring's too.

    late  so many replies come together with the one to the request after theirs
    """

    def __init__(self, ring: RingFiles, bookmarks: Bookmarks | None = None) -> None:
        self.ring = ring
        self.dialogue = dialogue_of(bookmarks or {})
        self.now_ms = 0
        self.late = 0
        self.told: list[Step] = []
        self._held: list[bytes] = []
        self._waiting: list[Step] = []
        self._started = ring.shown

    def link(self) -> None:
        """A new link."""
        self._waiting = list(self.dialogue.begin(self.now_ms))

    def cut(self) -> None:
        """The link is over; what it brought is committed."""
        self.dialogue.link_lost()
        self.ring.disconnected()
        self._waiting.clear()
        self._held.clear()
        self.commit()

    def run(self, seconds: float, most_writes: int | None = None) -> None:
        """So much time, or so many writes, pass."""
        until_ms = self.now_ms + int(seconds * 1000)
        while most_writes is None or most_writes > 0:
            self.commit()
            if self._waiting:
                step = self._waiting.pop(0)
                if isinstance(step, Write):
                    most_writes = None if most_writes is None else most_writes - 1
                    self._waiting += self._written(step.octets)
                else:
                    self.told.append(step)
                continue
            deadline_ms = self.dialogue.deadline_ms
            if deadline_ms is None or deadline_ms > until_ms:
                break
            self._pass(max(deadline_ms, self.now_ms))
            self._waiting += self.dialogue.tick(self.now_ms)
        if most_writes is None:
            self._pass(until_ms)

    def away(self, seconds: float) -> None:
        """So much time passes without a link."""
        self._pass(self.now_ms + int(seconds * 1000))

    def commit(self) -> None:
        """What was given is in the outbox."""
        while steps := self.dialogue.committed():
            self.told += steps

    def records(self) -> list[tuple[str, str]]:
        """Saturation and pulse rate of the records that came from files."""
        found = []
        for step in self.told:
            if isinstance(step, Fetched):
                spo2, pulse = step.readings
                found.append((str(spo2.value), str(pulse.value)))
        return found

    def _pass(self, now_ms: int) -> None:
        self.now_ms = now_ms
        self.ring.shown = self._started + timedelta(milliseconds=now_ms)

    def _written(self, octets: bytes) -> Steps:
        answer = self.ring.written(octets)
        if answer is None:
            return ()
        self._held.append(answer)
        if self.late > 0:
            self.late -= 1
            return ()
        held, self._held = self._held, []
        steps: Steps = ()
        for each in held:
            for at in range(0, len(each), PIECE):
                steps += self.dialogue.value(REPLY, each[at : at + PIECE], self.now_ms)
        return steps
