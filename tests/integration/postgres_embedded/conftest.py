"""Data folders for the tests of the embedded server: made once, copied for each test."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from wardlight_cloud.store.embedded import EmbeddedPostgres


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data folder whose cluster was made and never started."""
    folder = tmp_path_factory.mktemp("made")
    steps = EmbeddedPostgres(folder, durable=False)
    steps.prepare()
    steps.release()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def data_dir(made_once: Path, tmp_path: Path) -> Iterator[Path]:
    """A data folder of the test's own, with spaces and commas in its path; removed afterwards."""
    folder = tmp_path / "a folder with spaces, and a comma" / "data"
    folder.parent.mkdir()
    subprocess.run(["cp", "-a", "--reflink=auto", made_once, folder], check=True)
    yield folder
    shutil.rmtree(folder)
