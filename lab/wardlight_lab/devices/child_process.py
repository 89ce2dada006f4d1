"""An emulator as a child process: saying that it is ready, and stopping when told to."""

import asyncio
import json
import signal
from pathlib import Path


def announce(ready: dict[str, object], file: Path | None) -> None:
    """Print the ready line, and write it to a file that is never seen half written."""
    line = json.dumps(ready)
    if file is not None:
        fresh = file.with_name(f".{file.name}.new")
        fresh.write_text(line + "\n", encoding="utf-8")
        fresh.replace(file)
    print(line, flush=True)


async def until_told_to_stop() -> None:
    """Wait for SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()
