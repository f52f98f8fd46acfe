"""A process and all that it started: a component of Airflow gives its tasks process groups, so the session is ended."""

from __future__ import annotations

import os
import signal
from contextlib import suppress


def end_session(leader: int) -> None:
    """Kill what is left of the session that a process was started with; the caller last, where it is in it."""
    import psutil

    found = [pid for pid in psutil.pids() if _session_of(pid) == leader]
    for pid in sorted(found, key=lambda pid: pid == os.getpid()):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def _session_of(pid: int) -> int:
    try:
        return os.getsid(pid)
    except (ProcessLookupError, PermissionError):
        return -1
