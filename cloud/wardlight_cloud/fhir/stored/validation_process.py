"""The process that validates foreign resources, inside bounds of memory.

``python -m wardlight_cloud.fhir.stored.validation_process MEMORY_BYTES``: READY on standard output,
then lists of resources on standard input and lists of issues on standard output, each message a
length of four octets and MessagePack. It ends with its input. It says nothing on standard error:
what a library warns about may quote a resource.
"""

import logging
import os
import resource
import sys
import warnings
from typing import BinaryIO, Final

import msgspec

from wardlight_cloud.fhir.stored.issue import Issue
from wardlight_cloud.fhir.stored.validating import issues

READY: Final = b"ready\n"
_requests: Final = msgspec.msgpack.Decoder(list[bytes])


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
        message = msgspec.msgpack.encode([_checked(text) for text in request])
        answers.write(len(message).to_bytes(4, "big") + message)
        answers.flush()


def _checked(text: bytes) -> list[Issue]:
    try:
        return issues(text)
    except (RecursionError, AttributeError, TypeError, ValueError, KeyError, msgspec.MsgspecError):
        # The models are not made for every nonsense; what breaks them is not R4.
        return [Issue("structure", "The resource is not one of R4.", "resourceType")]


def _request(source: BinaryIO) -> list[bytes] | None:
    head = source.read(4)
    if len(head) < 4:
        return None
    return _requests.decode(source.read(int.from_bytes(head, "big")))


if __name__ == "__main__":
    main()
