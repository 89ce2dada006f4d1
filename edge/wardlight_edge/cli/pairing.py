"""The operator's side of a pairing: shows how it goes, and asks for the digits a device shows.

The window is looked at twice a second, also while digits are awaited: a device that goes away
takes its question along.
"""

import os
import re
import select
import sys
import termios
from typing import Final

from wardlight_edge.cli.operator import RunningGateway
from wardlight_edge.enrolment.messages import OVER, Digits, Opened, Phase, Shown, Window

POLL_S: Final = 0.5
_PROMPT: Final = "  digits on the device (nothing: refuse): "
_AGAIN: Final = "  six digits, as the device shows them: "


def pair(gateway: RunningGateway, identity: str, seconds: float) -> int:
    """Open a window and see it through; returns the exit code."""
    window = gateway.ask("pair", Opened(identity, seconds), Window)
    if window.phase in OVER:
        _write(f"{identity}: {window.text}\n")
        return 0 if window.phase is Phase.DONE else 1
    _write(
        f"{identity}: pairing, {window.seconds:.0f} s at most; Ctrl-C gives up\n"
        "  An older bond is forgotten. Put the device into pairing mode near the gateway. If it\n"
        "  shows digits, type them here within 30 s.\n"
    )
    conversation = _Conversation(gateway, window)
    try:
        last = conversation.run()
    except KeyboardInterrupt:
        gateway.ask("close", Shown(window.window), Window)
        _write("\n")
        raise
    return 0 if last.phase is Phase.DONE else 1


class _Conversation:
    """One window, from opened to over."""

    def __init__(self, gateway: RunningGateway, window: Window) -> None:
        self._gateway = gateway
        self._window = window
        self._said = window.text
        self._asked = 0
        self._typed = b""
        self._can_type = True

    def run(self) -> Window:
        """Returns the window when it is over."""
        while self._window.phase not in OVER:
            line = self._line()
            if line is not None and self._asked == self._window.question != 0:
                self._answer(line)
            self._window = self._gateway.ask("window", Shown(self._window.window), Window)
            self._show()
        return self._window

    def _show(self) -> None:
        window = self._window
        if self._asked and window.question != self._asked:
            self._asked = 0
            _write("\n")
        if window.text != self._said:
            self._said = window.text
            _write(f"  {window.text}\n")
        if window.digits is not None and window.phase is Phase.SHOWING:
            _write(f"  {window.digits}\n")
        if window.question and window.question != self._asked:
            self._ask(window.question)

    def _ask(self, question: int) -> None:
        self._asked = question
        self._typed = b""
        if sys.stdin.isatty():
            termios.tcflush(sys.stdin, termios.TCIFLUSH)  # what was typed before is no answer
        _write(_PROMPT)

    def _answer(self, line: str) -> None:
        text = re.sub(r"[\s-]", "", line)
        if text and not re.fullmatch(r"[0-9]{6}", text):
            _write(_AGAIN)
            return
        digits = int(text) if text else None
        message = Digits(self._window.window, self._window.question, digits)
        self._asked = 0
        self._gateway.ask("digits", message, Window)

    def _line(self) -> str | None:
        """A line that was typed, within POLL_S; at the end of the input an empty one, once."""
        if b"\n" not in self._typed:
            readable = [sys.stdin] if self._can_type and self._asked else []
            if not select.select(readable, [], [], POLL_S)[0]:
                return None
            octets = os.read(sys.stdin.fileno(), 256)
            self._can_type = bool(octets)
            self._typed += octets or b"\n"
        line, end, rest = self._typed.partition(b"\n")
        if not end:
            return None
        self._typed = rest
        return line.decode("ascii", "replace")


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
