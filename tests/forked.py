"""Processes of tests that begin with everything imported and nothing open, in the environment of their test."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from multiprocessing.context import ForkServerContext, ForkServerProcess
from typing import Any


class Forked(ForkServerContext):
    """Begins processes from the one server that a process of tests has.

    The server keeps the environment of the test that began it, which is another with every order of the tests: each
    process is given what holds where it is made. Modules to import beforehand count for the test that is first.
    """

    def __init__(self, *imported: str) -> None:
        super().__init__()
        self.set_forkserver_preload(list(imported))

    def Process(  # type: ignore[override]  # noqa: N802 - a context's name for it
        self, target: Callable[..., object], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> ForkServerProcess:
        """A process that is yet to start."""
        return ForkServerProcess(target=partial(_within, dict(os.environ), target), args=args, kwargs=kwargs or {})


def _within(environment: Mapping[str, str], target: Callable[..., object], *args: Any, **kwargs: Any) -> None:
    os.environ.clear()
    os.environ.update(environment)
    target(*args, **kwargs)
