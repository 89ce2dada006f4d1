"""An operator whose window is open for one device, and who gives digits at once, or never."""

import asyncio
from typing import Final

SILENT: Final = -1


class AnsweringOperator:
    """Implements transports.ble_agent.Operator.

    digits  what is typed; None = they refuse; SILENT = they type nothing
    """

    def __init__(self, address: str, digits: int | None) -> None:
        self._address = address
        self._digits = digits
        self.is_present = True
        self.asked: list[str] = []
        self.shown: list[str] = []
        self.withdrawn = 0
        self.news: list[str] = []

    def is_at(self, address: str) -> bool:
        """Whether the window is open for this device."""
        return self.is_present and address == self._address

    async def digits(self, address: str) -> int | None:
        """What is typed."""
        self.asked.append(address)
        if self._digits != SILENT:
            return self._digits
        try:
            await asyncio.Event().wait()
        finally:
            self.withdrawn += 1
        return None

    def show(self, address: str, digits: str) -> None:
        """Note it."""
        del address
        self.shown.append(digits)

    def found(self, address: str) -> None:
        """Note it."""
        del address
        self.news.append("found")

    def paired(self, address: str) -> None:
        """Note it."""
        del address
        self.news.append("paired")

    def failed(self, address: str, reason: str | None) -> None:
        """Note it."""
        del address, reason
        self.news.append("failed")

    def went(self, address: str) -> None:
        """Note it."""
        del address
        self.news.append("went")
