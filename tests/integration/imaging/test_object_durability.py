"""An object that is acknowledged is on the disk: file synced, renamed, folder synced, in order.

Seen by strace in a process of its own, since no test can cut the power.
"""

import hashlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.peers import require_peer

_PROGRAM = """
import asyncio, hashlib, os, sys
from pathlib import Path
from wardlight_cloud.store.object_folder import FolderObjects

async def main(way):
    octets = b"x" * 5000
    sha256 = hashlib.sha256(octets).digest()
    async with FolderObjects(Path("objects")) as objects:
        os.mkdir("began")
        if way == "renamed by another process":
            folder = Path("objects/sha256") / sha256.hex()[:2] / sha256.hex()[2:4]
            folder.mkdir(parents=True)
            (folder / sha256.hex()).write_bytes(octets)
            os.mkdir("was there")
            await objects.durable_size(sha256)
        elif way == "put":
            await objects.put(sha256, octets)
        elif way == "put_file":
            Path("given").write_bytes(octets)
            await objects.put_file(sha256, Path("given"))
        else:
            await objects.put_part(sha256, 0, octets[:4096])
            if way == "parts":
                await objects.put_part(sha256, 4096, octets[4096:])
                await objects.assemble(sha256, len(octets))
        os.mkdir("acknowledged")
asyncio.run(main(sys.argv[1]))
"""
_CALLS = "trace=fsync,fdatasync,rename,renameat,renameat2,openat,mkdir,close"


def _calls(way: str, folder: Path) -> list[tuple[str, str]]:
    """(call, path) between the two marks; fsync by the path of its descriptor."""
    strace = require_peer("strace")
    log = folder / "log"
    watched = [str(strace), "-f", "-y", "-e", _CALLS, "-o", str(log)]
    subprocess.run(
        [*watched, sys.executable, "-c", _PROGRAM, way],
        cwd=folder,
        check=True,
        capture_output=True,
        timeout=180,
    )
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    first = next(n for n, line in enumerate(lines) if 'mkdir("began"' in line)
    last = next(n for n, line in enumerate(lines) if 'mkdir("acknowledged"' in line)
    found = []
    for line in lines[first + 1 : last]:
        if match := re.search(r"(fsync|fdatasync)\(\d+<(.*?)>", line):
            found.append(("sync", match[2]))
        elif match := re.search(r'rename\w*\(.*?"([^"]+)".*?"([^"]+)"', line):
            found.append(("rename", f"{match[1]} {match[2]}"))
        elif match := re.search(r'mkdir\("([^"]+)"', line):
            found.append(("mkdir", match[1]))
    return found


@pytest.mark.parametrize("way", ["put", "put_file", "part", "parts"])
def test_a_file_is_synced_before_its_name_and_its_folder_after(way: str, tmp_path: Path) -> None:
    calls = _calls(way, tmp_path)
    renames = [place for place, (call, _) in enumerate(calls) if call == "rename"]
    assert renames
    source, target = calls[renames[-1]][1].split(" ")
    final_folder = str(Path(target).parent)
    before = [path for call, path in calls[: renames[-1]] if call == "sync"]
    after = [path for call, path in calls[renames[-1] :] if call == "sync"]
    assert any(path.endswith(source) for path in before), "the file is synced before its rename"
    assert any(path.endswith(final_folder) for path in after), "and its folder afterwards"
    for place, (call, path) in enumerate(calls):
        if call == "mkdir":
            above = str(Path(path).parent)
            synced = [each for name, each in calls[place:] if name == "sync"]
            assert any(each.endswith(above) for each in synced), f"the folder of {path}"


def test_what_another_process_renamed_is_durable_before_it_counts(tmp_path: Path) -> None:
    """It may be between its rename and its sync: the receipt must not come before that."""
    calls = _calls("renamed by another process", tmp_path)
    there = calls.index(("mkdir", "was there"))
    synced = [path for call, path in calls[there:] if call == "sync"]
    digest = hashlib.sha256(b"x" * 5000).hexdigest()
    for folder in ("sha256", f"sha256/{digest[:2]}", f"sha256/{digest[:2]}/{digest[2:4]}"):
        assert any(path.endswith(f"objects/{folder}") for path in synced), folder
