"""A cloud that is used by its commands, and what an import says."""

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.dicom_process import Ended
from support.postgres import FreshDatabase
from support.store import SCHEMA
from wardlight_cloud.cli import main


@dataclass(frozen=True)
class Box:
    """An empty cloud, used by its commands."""

    config: Path
    capsys: pytest.CaptureFixture[str]

    async def run(self, *arguments: str) -> Ended:
        """In a thread of this process, as starting another one costs more than what it does."""
        code = await asyncio.to_thread(main, [*arguments, "--config", str(self.config)])
        out, complaint = self.capsys.readouterr()
        return Ended(code, complaint + out)


async def empty_box(
    fresh_database: FreshDatabase, folder: Path, capsys: pytest.CaptureFixture[str]
) -> Box:
    """A cloud whose data are below ``folder``."""
    config = folder / "cloud.toml"
    dsn = await fresh_database(SCHEMA)
    config.write_text(
        f'data_dir = "{folder}/data"\n[database]\ndsn = "{dsn}"\npool_size = 2\n'
        "[images]\nprocesses = 1\n",
        encoding="utf-8",
    )
    return Box(config, capsys)


def counts(said: str) -> tuple[int, int, int, int]:
    """(new, known, conflicting, rejected) of the last line."""
    found = re.findall(
        r"(\d+) new, (\d+) known, (\d+) with the UID of another file, (\d+) rejected", said
    )
    new, known, conflicting, rejected = found[-1]
    return int(new), int(known), int(conflicting), int(rejected)
