"""What an operator may ask of the running gateway over its page: name -> typed message -> answer.

In      the name and the body of a POST
Out     the answer as JSON, b"" = done
Errors  LookupError: no such command; ConfigError: not a message of this version, or what the
        command raises
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import msgspec

from wardlight_edge.enrolment.desk import PairingDesk
from wardlight_edge.enrolment.messages import Asked, Changed, Digits, Named, Opened, Overhear, Shown
from wardlight_edge.enrolment.service import Enrolment
from wardlight_shared.errors import ConfigError

Command = Callable[[bytes], Awaitable[bytes]]
_M = TypeVar("_M")


def commands_of(
    enrolment: Enrolment, desk: PairingDesk, overheard: Callable[[int | None], object]
) -> Mapping[str, Command]:
    """Every command by its name.

    overheard  what proxies have heard since an answer before, None = from now on
    """

    async def look(message: Shown) -> object:
        return desk.look(message.window)

    async def answer(message: Digits) -> object:
        return desk.answer(message.window, message.question, message.digits)

    async def close(message: Shown) -> object:
        return desk.close(message.window)

    async def hear(message: Overhear) -> object:
        return overheard(message.since)

    return {
        "hear": _typed(Overhear, hear),
        "add": _typed(Asked, lambda message: enrolment.add(message.device)),
        "set": _typed(Changed, enrolment.change),
        "remove": _typed(Named, lambda message: enrolment.remove(message.identity)),
        "pair": _typed(Opened, enrolment.pair),
        "window": _typed(Shown, look),
        "digits": _typed(Digits, answer),
        "close": _typed(Shown, close),
    }


def _typed(kind: type[_M], do: Callable[[_M], Awaitable[object]]) -> Command:
    async def command(body: bytes) -> bytes:
        try:
            message = msgspec.json.decode(body, type=kind, dec_hook=_path)
        except msgspec.DecodeError as error:
            # Its text names keys and types; the digits of a person are not in it.
            raise ConfigError(f"command and gateway are of different versions ({error})") from error
        answer = await do(message)
        return b"" if answer is None else msgspec.json.encode(answer)

    return command


def _path(kind: type, value: Any) -> Any:
    return kind(value)
