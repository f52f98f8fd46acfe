"""A command of Airflow that ends with the process that watches it, even when that one is killed.

Run as a program with the number of a pipe's reading end and the command: `python -m ... 7 scheduler`.
"""

from __future__ import annotations

import os
import sys
import threading


def main() -> None:
    """Run the command in this process, which leads a session of its own."""
    leash(int(sys.argv[1]))
    sys.argv = ["airflow", *sys.argv[2:]]
    from elt_factory.cli.running import log_server

    if sys.argv[1] in log_server.SERVERS:
        log_server.listen_here()
    from airflow.__main__ import main as airflow

    airflow()  # type: ignore[no-untyped-call]


def leash(pipe: int) -> None:
    """End the session of this process, which leads it, as soon as no process holds the writing end of a pipe."""
    threading.Thread(target=_end_with, args=(pipe,), name="leash", daemon=True).start()


def _end_with(pipe: int) -> None:
    # nothing is ever written: the read ends when no one is left who could write
    os.read(pipe, 1)
    from elt_factory.cli.running.sessions import end_session

    end_session(os.getpid())


if __name__ == "__main__":
    main()
