"""Acknowledgements over one connection, from a receiver that says what a test wants it to say."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from wardlight_cloud.hl7.mllp import Address, MllpClient, MllpError


def ack(code: str, control_id: str) -> bytes:
    return f"\x0bMSH|^~\\&|A|B|C|D|20260101||ACK|1|P|2.6\rMSA|{code}|{control_id}\r\x1c\r".encode()


@asynccontextmanager
async def receiver(answers: Callable[[int], Sequence[bytes]]) -> AsyncIterator[MllpClient]:
    """``answers``: what follows the message of that number, from 1."""

    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = 0
        try:
            while await reader.readuntil(b"\x1c\r"):
                number += 1
                writer.writelines(answers(number))
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()
            ended.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        async with MllpClient(Address("127.0.0.1", port, answer_s=60)) as client:
            yield client
        await asyncio.wait_for(ended.wait(), 60)


async def test_answers_that_were_given_before_are_passed_over() -> None:
    """node-hl7-server 2 says all answers of a connection again; others send CA and then AA."""

    def answers(number: int) -> list[bytes]:
        earlier = [ack("AA", str(each)) for each in range(1, number)]
        return [*earlier, ack("CA", str(number)), ack("AA", str(number))]

    async with receiver(answers) as client:
        for number in range(1, 6):
            answer = await client.send(b"MSH|", str(number))
            assert (answer.code, answer.control_id) == ("AA", str(number))
            assert client.says_all_again == (number > 2)


async def test_two_answers_to_each_message_are_no_reason_to_hang_up() -> None:
    def answers(number: int) -> list[bytes]:
        late = [ack("AA", str(number - 1))] if number > 1 else []
        return [*late, ack("CA", str(number))]

    async with receiver(answers) as client:
        for number in range(1, 6):
            assert (await client.send(b"MSH|", str(number))).control_id == str(number)
        assert not client.says_all_again


@pytest.mark.parametrize("other", ["3", "never sent", ""])
async def test_an_answer_for_what_was_not_answered_is_none(other: str) -> None:
    """Of a message to come, or of nobody: which of them was meant is not known."""

    async with receiver(lambda number: [ack("AA", "1" if number == 1 else other)]) as client:
        await client.send(b"MSH|", "1")
        with pytest.raises(MllpError, match="another message"):
            await client.send(b"MSH|", "2")
