"""A launcher that ties a program to the life of the process that starts it.

It asks the kernel to signal this process when its parent dies (prctl(2) PR_SET_PDEATHSIG), may
change to another account, sets every signal to its default action, and then *becomes* the program:
the process id is the program's. Where the system has no such request (not Linux, or a Python
without ctypes) the program runs all the same, untied.

Run by path with `python -I -S`, so that a start costs one bare interpreter (30 to 50 ms) and
imports nothing of ours. "Parent" means the *thread* that forked: start programs from a thread that
lives as long as they should, as the main thread does.

usage: tether.py PARENT_PID SIGNAL UID GID PROGRAM [ARGUMENT...]     ("-" keeps the account)
Source: prctl(2), execve(2); a change of account clears the request, so it comes after.
"""

import os
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_KEEP = "-"
_CANNOT_RUN = 127  # the shell's code for a program that cannot be started


def tethered(
    argv: list[str],
    *,
    death_signal: int = signal.SIGTERM,
    uid: int | None = None,
    gid: int | None = None,
) -> list[str]:
    """The command that runs `argv` tied to the calling process, optionally as another account."""
    account = [_KEEP, _KEEP] if uid is None or gid is None else [str(uid), str(gid)]
    launcher = [sys.executable, "-I", "-S", os.path.abspath(__file__)]  # noqa: PTH100 - no pathlib here: this file is also the launcher and must load fast
    return [*launcher, str(os.getpid()), str(int(death_signal)), *account, *argv]


def _death_request(number: int) -> Callable[[], object]:
    """The call that makes the kernel send `number` when the parent dies, ready to be made."""
    try:
        import ctypes

        prctl = ctypes.CDLL(None).prctl
    except (ImportError, OSError, AttributeError):
        return lambda: None
    return lambda: prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)


def _change_account(uid: int, gid: int) -> None:
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def _reset_signals() -> None:
    """Python ignores SIGPIPE, and a shell's background job ignores SIGINT; neither is inherited."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def main(arguments: list[str]) -> int:
    """Become the program; returns only when that fails, with an exit code."""
    parent, death_signal, uid, gid, *argv = arguments
    # Both load modules, which another account may not be allowed to read.
    request, _ = _death_request(int(death_signal)), os.get_exec_path()
    try:
        if uid != _KEEP:
            _change_account(int(uid), int(gid))
        request()
        if os.getppid() != int(parent):
            return 0  # the parent died before the request was made: nobody wants the program
        _reset_signals()
        os.execvp(argv[0], argv)  # noqa: S606 - becoming the program, without a shell, is the purpose
    except OSError as error:
        sys.stderr.write(f"cannot run {argv[0]}: {error.strerror}\n")
    return _CANNOT_RUN


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
