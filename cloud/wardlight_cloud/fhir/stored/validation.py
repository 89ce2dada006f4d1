"""Validation of foreign resources in a process of its own: it holds up no reading, for no time.

One process, started when it is needed, asked by one request after the other. What takes longer than
VALIDATE_S, or kills the process, is refused; the process is replaced.

Errors  FhirError 422 with the issues; 503 when no process can be started
"""

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Sequence
from typing import Any, Final, Self

import msgspec

from wardlight_cloud.fhir.outcome import FhirError, outcome_issue
from wardlight_cloud.fhir.stored.issue import Issue
from wardlight_cloud.fhir.stored.validation_process import READY

VALIDATE_S: Final = 20.0
_START_S: Final = 60.0
_GOODBYE_S: Final = 2.0
_MEMORY_BYTES: Final = 1 << 30
_LARGEST_ANSWER: Final = 64 << 20
_PROGRAM: Final = "wardlight_cloud.fhir.stored.validation_process"
_log = logging.getLogger(__name__)
_answers: Final = msgspec.msgpack.Decoder(list[list[Issue]])


class Validation:
    """Validates; ``async with Validation() as validation``. Belongs to one event loop."""

    def __init__(self, *, validate_s: float = VALIDATE_S) -> None:
        self._validate_s = validate_s
        self._turn = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def check(self, resources: Sequence[bytes], places: Sequence[str]) -> None:
        """Raise FhirError 422 unless all are valid; ``places`` stand before the expressions."""
        if not resources:
            return
        found = await self._issues(list(resources))
        wrong: list[dict[str, Any]] = [
            outcome_issue("error", each.code, each.diagnostics, place + each.expression)
            for place, own in zip(places, found, strict=True)
            for each in own
        ]
        if wrong:
            raise FhirError(422, "processing", "The resource is not valid.", issues=wrong)

    async def close(self) -> None:
        """End the process."""
        async with self._turn:
            await self._stop()

    async def _issues(self, resources: list[bytes]) -> list[list[Issue]]:
        async with self._turn:
            try:
                process = await self._started()
                async with asyncio.timeout(self._validate_s):
                    return await _asked(process, resources)
            except TimeoutError:
                await self._stop()
                text = "Validating the resource takes longer than this server allows."
                raise FhirError(422, "too-costly", text) from None
            except (OSError, EOFError, msgspec.DecodeError) as error:
                await self._stop()
                _log.warning(
                    "a process that validates ended", extra={"error": type(error).__name__}
                )
                text = "The resource cannot be validated now; try again, or send less at once."
                headers = {"Retry-After": "5"}
                raise FhirError(503, "transient", text, headers=headers) from None
            except asyncio.CancelledError:
                self._kill()  # what it answers now would be taken for the next request's
                raise

    async def _started(self) -> asyncio.subprocess.Process:
        if self._process is not None and self._process.returncode is None:
            return self._process
        self._process = process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", _PROGRAM, str(_MEMORY_BYTES),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL, env=_environment(),
        )  # fmt: skip
        assert process.stdout is not None  # noqa: S101 - a pipe
        try:
            async with asyncio.timeout(_START_S):
                await process.stdout.readexactly(len(READY))
        except TimeoutError as error:
            raise OSError("the process does not begin") from error
        return process

    async def _stop(self) -> None:
        process = self._process
        self._kill()
        if process is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_GOODBYE_S):
                    await process.wait()

    def _kill(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()


def _environment() -> dict[str, str]:
    """What a process needs that has nothing to do with our secrets."""
    return {name: value for name, value in os.environ.items() if "WARDLIGHT" not in name}


async def _asked(process: asyncio.subprocess.Process, resources: list[bytes]) -> list[list[Issue]]:
    assert process.stdin is not None and process.stdout is not None  # noqa: S101 - pipes
    message = msgspec.msgpack.encode(resources)
    process.stdin.write(len(message).to_bytes(4, "big") + message)
    await process.stdin.drain()
    length = int.from_bytes(await process.stdout.readexactly(4), "big")
    if length > _LARGEST_ANSWER:
        raise EOFError("an answer that is too long")
    return _answers.decode(await process.stdout.readexactly(length))
