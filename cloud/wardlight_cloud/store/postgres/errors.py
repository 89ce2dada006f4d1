"""The driver's exceptions as StorageError, with the server's code and without any stored value.

A server's message can quote what it was given (``invalid input syntax for type ...: "..."``), and
its DETAIL quotes keys. Chained exceptions end in logs, so neither may pass.
"""

import functools
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final, ParamSpec, TypeVar

import asyncpg

from wardlight_shared.errors import StorageError

_P = ParamSpec("_P")
_T = TypeVar("_T")
_DATA_EXCEPTION: Final = "22"  # class of SQLSTATE codes whose message quotes the value


@contextmanager
def storage_errors(action: str) -> Iterator[None]:
    """Raise StorageError for whatever the driver, the socket or a time limit raises inside."""
    try:
        yield
    except asyncpg.PostgresError as error:
        code = error.sqlstate or ""
        message = f"{action}: the database refused ({code} {type(error).__name__})"
        if code.startswith(_DATA_EXCEPTION):
            raise StorageError(message) from None
        error.detail = None
        raise StorageError(message) from error
    except asyncpg.DataError:
        raise StorageError(f"{action}: a value does not fit its column") from None
    except TimeoutError as error:
        raise StorageError(f"{action}: the database did not answer in time") from error
    except (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as error:
        raise StorageError(f"{action}: no connection ({type(error).__name__})") from error


def storage_call(
    method: Callable[_P, Coroutine[Any, Any, _T]],
) -> Callable[_P, Coroutine[Any, Any, _T]]:
    """Wrap a coroutine method of the store; the action in the message is the method's name."""
    action = method.__name__

    @functools.wraps(method)
    async def call(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        with storage_errors(action):
            return await method(*args, **kwargs)

    return call
