"""Where the reactor of an association stands while a request of ours is open.

pynetdicom's reactor says that it is paused before it looks whether it has to be. Who sends its next
request at this moment finds it awake: it takes the answer away, and the sender waits for its whole
DIMSE timeout. Here a request begins when the reactor stands, and not before.
"""

import threading
from typing import Final

from pynetdicom.association import Association

_LOOK_S: Final = 0.05  # how soon it is seen that the reactor has ended


class Checkpoint:
    """Stands for the ``threading.Event`` of one association; its reactor waits here."""

    def __init__(self, reactor: threading.Thread) -> None:
        self._reactor = reactor
        self._changed = threading.Condition()
        self._is_open = True
        self._stands = False

    def set(self) -> None:
        """Let the reactor run."""
        with self._changed:
            self._is_open = True
            self._changed.notify_all()

    def clear(self) -> None:
        """Stop the reactor; returns when it stands here, or has ended."""
        with self._changed:
            self._is_open = False
            if threading.current_thread() is self._reactor:
                return
            while not self._stands and self._reactor.is_alive():
                self._changed.wait(_LOOK_S)

    def wait(self) -> None:
        """The reactor's: go on when it is open."""
        with self._changed:
            while not self._is_open:
                self._stands = True
                self._changed.notify_all()
                self._changed.wait()
            self._stands = False


def guard(assoc: Association) -> None:
    """Give an association that has just been made this checkpoint; no request may be open."""
    vars(assoc)["_reactor_checkpoint"] = Checkpoint(assoc)
