"""Names of files as they are printed."""

import os
from pathlib import Path

import pytest

from wardlight_cloud.cli.file_names import named


@pytest.mark.parametrize(
    ("octets", "encoding", "shown"),
    [
        (b"disc/IMG 0001", "utf-8", "disc/IMG 0001"),
        ("Müller".encode(), "utf-8", "Müller"),
        ("Müller".encode(), "ascii", r"M\xfcller"),
        ("Łódź".encode(), "latin-1", r"\u0141ód\u017a"),
        (b"M\xfcller", "utf-8", r"M\xfcller"),
        (b"two\nlines\x1b[2J\x7f", "utf-8", r"two\nlines\x1b[2J\x7f"),
        ("right\u202eto left".encode(), "utf-8", r"right\u202eto left"),
    ],
)
def test_a_name_is_one_line_of_text(octets: bytes, encoding: str, shown: str) -> None:
    assert named(Path(os.fsdecode(octets)), encoding) == shown
