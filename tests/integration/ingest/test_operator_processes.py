"""What an operator types on a running site, beside its collector."""

import asyncio
import contextlib
import io
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from support.collector_world import CollectorWorld
from support.envelopes import event, record, sealed
from support.speaking_gateway import SpeakingGateway
from support.waiting import wait_until
from wardlight_cloud.cli import main
from wardlight_lab.broker import NatsServer
from wardlight_shared.timestamps import utc_ms_from_datetime

Speak = Callable[..., SpeakingGateway]
pytestmark = pytest.mark.parametrize("broker", [NatsServer], indirect=True, ids=["nats"])
COLLECTOR: Final = "collector-1"

REFUSING = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF new.mantissa = 666 THEN
        RAISE EXCEPTION 'out of range' USING ERRCODE = '22003';
    END IF;
    RETURN new;
END $$;
CREATE TRIGGER refuse BEFORE INSERT ON reading FOR EACH ROW EXECUTE FUNCTION refuse();
"""


class Operator:
    """Types commands beside a running collector."""

    def __init__(self, world: CollectorWorld) -> None:
        self._config = world.config("collector-2")

    async def types(self, *arguments: str) -> tuple[int, str]:
        """Exit code, and what the command says: its answer, or its complaint."""
        return await asyncio.to_thread(self._types, *arguments)

    def _types(self, *arguments: str) -> tuple[int, str]:
        """As a process would, without a second of imports for each command."""
        answer, complaint = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(answer), contextlib.redirect_stderr(complaint):
            code = main([*arguments, "--config", str(self._config)])
        return code, (complaint if code else answer).getvalue()

    async def types_as_a_process(self, *arguments: str) -> tuple[int, str]:
        """The same from a shell."""
        result = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "wardlight_cloud", *arguments, "--config", str(self._config)],
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        return result.returncode, result.stderr if result.returncode else result.stdout

    async def says(self, *arguments: str) -> str:
        """The answer of a command that did its work."""
        code, said = await self.types(*arguments)
        assert code == 0, said
        return said


async def _collecting(world: CollectorWorld, speak: Speak) -> SpeakingGateway:
    gateway = speak()
    world.start(COLLECTOR)

    async def answered() -> bool:
        await asyncio.to_thread(gateway.say_hello)
        return bool(gateway.acks())

    heard: Callable[[], object] = answered
    await wait_until(heard, 60, "the collector answers")
    return gateway


def _message(seq: int, value: str, moment: datetime) -> bytes:
    return sealed([record(seq, event({0: value}))], times_ms=[utc_ms_from_datetime(moment)])


async def test_a_dead_letter_that_is_let_go_reaches_its_gateway(
    world: CollectorWorld, speak: Speak
) -> None:
    """The gateway is told to drop its copy; the database keeps the record and its reason."""
    await world.execute(REFUSING)
    gateway = await _collecting(world, speak)
    now = datetime.now(UTC)
    gateway.send(_message(1, "97", now))
    await wait_until(lambda: gateway.settled() == {1})
    gateway.send(_message(2, "666", now))
    await wait_until(lambda: gateway.settled() == {1, 2})
    operator = Operator(world)
    code, listed = await operator.types_as_a_process("ledger", "--letters")
    assert code == 0, listed
    (letter,) = await world.fetch("SELECT letter_id, released_at FROM dead_letter")
    assert letter["released_at"] is None
    assert "refused by the database" in listed
    assert gateway.receipts() == []

    code, said = await operator.types_as_a_process("ledger", "--release", "4711")
    assert (code, "no such letter" in said) == (1, True)
    number = str(letter["letter_id"])
    await operator.says("ledger", "--release", number)
    await wait_until(lambda: [receipt.released for receipt in gateway.receipts()] == [[2]], 60)
    assert "refused by the database" not in await operator.says("ledger", "--letters")

    (first,) = await world.fetch("SELECT released_at, octet_length(body) AS size FROM dead_letter")
    await operator.says("ledger", "--release", number)
    (again,) = await world.fetch("SELECT released_at, octet_length(body) AS size FROM dead_letter")
    assert first == again
    assert first["size"] > 0


async def test_a_reading_aside_is_listed_released_and_discarded(
    world: CollectorWorld, speak: Speak
) -> None:
    gateway = await _collecting(world, speak)
    moment = datetime.now(UTC) + timedelta(days=2)
    for seq, value in ((1, "97"), (2, "98")):
        gateway.send(_message(seq, value, moment + timedelta(seconds=seq)))
    await wait_until(lambda: gateway.settled() == {1, 2})
    operator = Operator(world)
    lines = (await operator.says("quarantine", "list", gateway.gateway)).splitlines()
    assert len(lines) == 3
    assert "future" in lines[1]
    second, first = (line.split()[0] for line in lines[1:])

    because = ("--reason", "clock of the cuff was wrong")
    code, said = await operator.types("quarantine", "release", first, *because)
    assert (code, "give the true time" in said) == (1, True)
    code, said = await operator.types("quarantine", "release", first, "--reason", " ")
    assert (code, "reason" in said) == (2, True)
    assert await world.rows() == 0
    await operator.says(
        "quarantine", "release", first, *because, "--by", "Ops One",
        "--time", "2026-03-10T12:00:00+01:00",
    )  # fmt: skip
    (row,) = await world.fetch("SELECT mantissa, time FROM reading")
    assert (row["mantissa"], row["time"]) == (97, datetime(2026, 3, 10, 11, tzinfo=UTC))
    await operator.says("quarantine", "discard", second, *because)
    assert await operator.says("quarantine", "list") == "none\n"
    assert len((await operator.says("quarantine", "list", "--all")).splitlines()) == 3
    shown = await operator.says("quarantine", "show", first)
    assert "released" in shown
    assert "Ops One" in shown
    assert because[1] in shown
    assert "discarded" in await operator.says("quarantine", "show", second)
    code, said = await operator.types("quarantine", "discard", "4711", *because)
    assert (code, "no reading 4711" in said) == (1, True)
