"""A connection to PostgreSQL that does not wait indefinitely for a server that says nothing.

A machine that is gone is noticed by the kernel, through keepalives. A server that hangs, or something between that
keeps the connection open and forwards nothing, is noticed here.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from elt_factory.core.extras import needs

with needs("postgres", "a connection of type postgres"):
    import psycopg

if TYPE_CHECKING:
    from psycopg.abc import PQGen

T = TypeVar("T")

# the kernel gives up on a machine that has not answered for two minutes; the connection's extra may say otherwise
KEEPALIVES = {"keepalives_idle": 60, "keepalives_interval": 10, "keepalives_count": 6, "tcp_user_timeout": 120_000}


class Impatient(psycopg.Connection[tuple[object, ...]]):
    """A connection with a limit to how long it waits for the next byte."""

    silence = float("inf")

    def wait(self, gen: PQGen[T], *given: Any, **named: Any) -> T:
        """Wait for an answer as the driver does, but not through a silence that is too long."""
        return super().wait(self._heard(gen), *given, **named)

    def _heard(self, answer: PQGen[T]) -> PQGen[T]:
        """Pass on what the driver asks and is given; nothing is given when nothing came for a moment."""
        try:
            wanted, heard = next(answer), monotonic()
            while True:
                ready = yield wanted
                if not ready and monotonic() - heard > self.silence:
                    self._hang_up()
                wanted = answer.send(ready)
                heard = monotonic() if ready else heard
        except StopIteration as done:
            value: T = done.value
            return value

    def _hang_up(self) -> None:
        # the driver would ask the server to cancel, and wait for its answer
        self.pgconn.finish()
        raise psycopg.OperationalError(f"the server has said nothing for {self.silence:g} s")
