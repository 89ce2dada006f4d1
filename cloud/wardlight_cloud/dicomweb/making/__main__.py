"""Takes jobs from standard input and writes what it made to standard output, one after the other.

Ends when standard input does. Whatever a file does to a decoder ends in a sentence for the client,
or with this process, which the API then starts again. A job that takes too long is ended by a
signal of the system, which needs neither the API nor this interpreter to be well.
"""

import os
import resource
import signal
import sys
from pathlib import Path
from tempfile import mkstemp
from typing import BinaryIO, Final

from wardlight_cloud.dicomweb.jobs import (
    INLINE,
    JOB_HEAD,
    READY,
    BulkValue,
    Icon,
    Job,
    Picture,
    RawFrame,
    Report,
    Status,
    Transcoded,
    decode_job,
)
from wardlight_cloud.dicomweb.making import bulk, picture, pixels, report, transcode
from wardlight_cloud.dicomweb.making.refusal import AbsentError, Refusal

_NICE: Final = 5  # FHIR and the live feed come first


def made(job: Job) -> bytes:
    """What a job asks for; raises Refusal."""
    match job.making:
        case Picture():
            return picture.picture(job.file, job.making, job.state)
        case RawFrame():
            return pixels.raw_frame(job.file, job.making.frame)
        case Transcoded():
            return transcode.explicit_little(job.file)
        case BulkValue():
            return bulk.value(job.file, job.making.path)
        case Report():
            return report.page(job.file)
        case Icon():
            return picture.icon(job.making)


def answer(job: Job) -> tuple[Status, bytes]:
    """What was made, or why it was not."""
    try:
        return Status.MADE, made(job)
    except AbsentError as absent:
        return Status.ABSENT, str(absent).encode()
    except Refusal as refusal:
        return Status.REFUSED, str(refusal).encode()
    except MemoryError:
        return Status.REFUSED, b"This object needs more memory than the server spends on it."
    except Exception as error:  # noqa: BLE001 - decoders raise anything; this supervises them
        # No text of the error: it may hold values of a patient.
        kind = type(error).__name__
        return Status.REFUSED, f"This object cannot be decoded ({kind}).".encode()


def laid_down(job: Job, status: Status, octets: bytes) -> tuple[Status, bytes]:
    """The answer as it is; where it is large, the path of a file in its place."""
    if status is not Status.MADE or len(octets) <= INLINE or not job.folder:
        return status, octets
    path = ""
    try:
        Path(job.folder).mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, path = mkstemp(prefix="made-", dir=job.folder)
        with os.fdopen(descriptor, "wb") as file:
            file.write(octets)
    except OSError as error:
        if path:
            Path(path).unlink(missing_ok=True)
        text = f"The server has no room for what was made (errno {error.errno})."
        return Status.NO_ROOM, text.encode()
    return Status.MADE_FILE, path.encode()


def main(memory_bytes: int, limit_s: int, incoming: BinaryIO, outgoing: BinaryIO) -> None:
    """Until there are no more jobs."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    os.nice(_NICE)
    outgoing.write(READY)
    outgoing.flush()
    while len(head := incoming.read(JOB_HEAD)) == JOB_HEAD:
        octets = incoming.read(int.from_bytes(head, "big"))
        signal.alarm(limit_s)
        job = decode_job(octets)
        status, octets = laid_down(job, *answer(job))
        signal.alarm(0)
        outgoing.write(bytes([status]) + len(octets).to_bytes(8, "big"))
        outgoing.write(octets)
        outgoing.flush()


def own_output() -> BinaryIO:
    """Standard output for answers alone: what a library prints goes where errors go."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answers


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the API, which ends this one
    main(int(sys.argv[1]), int(sys.argv[2]), sys.stdin.buffer, own_output())
