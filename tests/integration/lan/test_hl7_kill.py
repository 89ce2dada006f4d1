"""kill -9 of the gateway under HL7 load: every AA is in the outbox, and nothing is there twice."""

import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

from support.manual_clock import ManualClock
from support.outbox_records import sqlite_outbox
from support.tree import ROOT
from support.waiting import wait_until_sync
from wardlight_edge.outbox.base import Choice
from wardlight_edge.outbox.key import read
from wardlight_shared.records import EventBody, decode_body

LIVES = 3
ACCEPTED_A_LIFE = 25
MUCH = 1 << 30
START = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
SETTINGS = """
gateway = "gw-kill"
data_dir = "data"
profiles_dir = {profiles!r}
[lan.hl7]
port = 0
[status]
port = 0
[uplink]
host = "127.0.0.1"
port = 1
ca_file = "none"
cert_file = "none"
key_file = "none"
"""


def _message(number: int) -> bytes:
    """One reading; its second is its number."""
    moment = (START + timedelta(seconds=number)).strftime("%Y%m%d%H%M%S+0000")
    return (
        f"MSH|^~\\&|M|F|||{moment}||ORU^R01|{number}|P|2.6\rPID|||77\r"
        f"OBX|1|NM|150456^MDC_PULS_OXIM_SAT_O2^MDC||97|262688^MDC_DIM_PERCENT^MDC|||||F|||{moment}\r"
    ).encode()


def _start(folder: Path) -> "subprocess.Popen[bytes]":
    (folder / "data" / "hl7.port").unlink(missing_ok=True)
    command = [sys.executable, "-m", "wardlight_edge", "run", "--config", str(folder / "edge.toml")]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL, env={**os.environ})


def _port(folder: Path) -> int:
    file = folder / "data" / "hl7.port"
    text = wait_until_sync(lambda: file.read_text() if file.exists() else "", 60, "the port opens")
    return int(text)


def _is_accepted(connection: socket.socket, number: int) -> bool:
    """Send one message; whether its AA came. The gateway may die at any byte of it."""
    try:
        connection.sendall(b"\x0b" + _message(number) + b"\x1c\r")
        answer = b""
        while not answer.endswith(b"\x1c\r"):
            some = connection.recv(4096)
            if not some:
                return False
            answer += some
    except OSError:
        return False
    return f"\rMSA|AA|{number}\r".encode() in answer


async def _stored(folder: Path) -> Counter[int]:
    """How often each number is in the outbox."""
    found: Counter[int] = Counter()
    path, key = folder / "data" / "outbox.sqlite", read(folder / "data" / "outbox.key")
    async with sqlite_outbox(path, ManualClock(mono_ms=1 << 40), key=key) as outbox:
        for choice in Choice:
            for record in await outbox.take(choice, max_records=MUCH, max_bytes=MUCH):
                body = decode_body(record.body)
                if isinstance(body, EventBody):
                    moment = datetime.fromisoformat(str(body.device_time))
                    found[int((moment - START).total_seconds())] += 1
    return found


async def test_every_accepted_message_is_stored_once(tmp_path: Path) -> None:
    text = SETTINGS.format(profiles=str(ROOT / "firmware-configs"))
    (tmp_path / "edge.toml").write_text(text)
    accepted: set[int] = set()
    number = 0
    for life in range(LIVES):
        gateway = _start(tmp_path)
        try:
            with socket.create_connection(("127.0.0.1", _port(tmp_path)), timeout=180) as sender:
                while len(accepted) < ACCEPTED_A_LIFE * (life + 1):
                    # What was not acknowledged before the kill is sent again, as a monitor does.
                    assert _is_accepted(sender, number)
                    accepted.add(number)
                    number += 1
                sender.sendall(b"\x0b" + _message(number) + b"\x1c\r")  # perhaps stored, not told
                gateway.send_signal(signal.SIGKILL)
        finally:
            gateway.kill()
            gateway.wait(30)
    stored = await _stored(tmp_path)
    assert accepted <= stored.keys()
    assert set(stored.values()) == {1}
