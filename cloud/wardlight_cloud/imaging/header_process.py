"""The process that reads headers: one file after the other, inside bounds of memory.

``python -m wardlight_cloud.imaging.header_process MEMORY_BYTES``: READY on standard output, then
requests on standard input and answers on standard output, both a length of four octets and
MessagePack. It ends with its input,
and after a file that it had no memory for. It says nothing on its standard error: what pydicom
warns about may quote the file.
"""

import logging
import os
import resource
import sys
import warnings
from pathlib import Path
from typing import BinaryIO

import msgspec

from wardlight_cloud.imaging.errors import HeaderError
from wardlight_cloud.imaging.header import read_header
from wardlight_cloud.imaging.header_messages import READY, Answer, Request


def main() -> None:
    """Serve until the input ends."""
    limit = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is no answer
    answers.write(READY)
    answers.flush()
    while (request := _request(sys.stdin.buffer)) is not None:
        answer = _answer(request)
        message = msgspec.msgpack.encode(answer)
        answers.write(len(message).to_bytes(4, "big") + message)
        answers.flush()
        if answer.reason == "memory":
            return


def _request(source: BinaryIO) -> Request | None:
    head = source.read(4)
    if len(head) < 4:
        return None
    return msgspec.msgpack.decode(source.read(int.from_bytes(head, "big")), type=Request)


def _answer(request: Request) -> Answer:
    try:
        with Path(os.fsdecode(request.path)).open("rb") as file:
            return Answer(read_header(file, inflated_bytes=request.inflated_bytes))
    except HeaderError as error:
        return Answer(reason=error.reason, message=str(error))
    except MemoryError:
        return Answer(reason="memory", message="reading the header takes more memory than allowed")
    except ImportError:
        return Answer(reason="program", message="a module that reads headers is not there")
    except OSError as error:
        return Answer(reason="file", message=f"the file cannot be read ({error.strerror})")


if __name__ == "__main__":
    main()
