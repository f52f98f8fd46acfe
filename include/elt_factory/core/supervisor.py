"""Run a command and end everything that it started, whatever happens to who asked for it.

A program of its own, run by `python -I -S`: it needs the standard library alone. It starts the command in a session of
its own and takes in what the command leaves behind (Linux calls this a subreaper). When the command has ended, when
this process is asked to, or when the process that started it is killed, nothing that the command started lives on.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_PDEATHSIG, _SUBREAPER = 1, 36
_GRACE = 5.0
_PATIENCE = 60.0  # with a command that was interrupted: dbt cancels its queries
_PAUSE = 0.05


def supervised(command: Iterable[object]) -> list[str]:
    """Return the command that runs another one for this process."""
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *map(str, command)]


def _prctl(option: int, value: int) -> None:
    # elsewhere than on Linux there is no such call, and ending what was started is up to the signals alone
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _children() -> list[int]:
    try:
        listed = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii")
        return [int(pid) for pid in listed.split()]
    except OSError:
        return []


def _end(command: "subprocess.Popen[bytes]", asked: int) -> None:
    """End the command and all that it started: first politely, then not. What interrupts this interrupts it, too."""
    interrupts = asked == signal.SIGINT
    until = time.monotonic() + (_PATIENCE if interrupts else _GRACE)
    with suppress(ProcessLookupError):
        os.killpg(command.pid, signal.SIGINT if interrupts else signal.SIGTERM)
    while command.poll() is None and time.monotonic() < until:
        time.sleep(_PAUSE)
    _sweep(command)


def _sweep(command: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(command.pid, signal.SIGKILL)
    command.wait()
    # what left the session is a child of this process once its parent is gone
    while left := _children():
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)


def main() -> int:
    """Run the command in the arguments after the first, which is the process that asked for it."""
    asked_by, arguments = int(sys.argv[1]), sys.argv[2:]
    _prctl(_SUBREAPER, 1)
    _prctl(_PDEATHSIG, signal.SIGTERM)
    asked: list[int] = []
    for sign in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(sign, lambda number, _: asked.append(number))
    # who asked may have died before the call above
    if os.getppid() != asked_by:
        return 1
    command = subprocess.Popen(  # noqa: S603 - the arguments are those of who asked
        arguments,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=lambda: _prctl(_PDEATHSIG, signal.SIGKILL),  # noqa: PLW1509 - this program has one thread
    )
    while command.poll() is None:
        if asked:
            _end(command, asked[0])
            return 128 + asked[0]
        # a signal that is handled does not end a wait, so it is short
        with suppress(subprocess.TimeoutExpired):
            command.wait(_PAUSE)
    _sweep(command)
    code = command.returncode
    return 128 - code if code < 0 else code


if __name__ == "__main__":
    sys.exit(main())
