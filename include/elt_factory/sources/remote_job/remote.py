"""A job of another system: started once, joined by every later try, looked at until it has ended."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import quote

import msgspec

from elt_factory.config.models.durations import format_duration
from elt_factory.config.models.remote_jobs import REMOTE_JOBS
from elt_factory.config.models.templates import Values, render
from elt_factory.core.failures import (
    AnswerLostError,
    EltError,
    JobRunningError,
    RemoteJobEndedError,
    RemoteJobFailedError,
    SourceBusyError,
    SourceUnavailableError,
    TransientError,
)
from elt_factory.extract.label import TableLabel
from elt_factory.sources.remote_job.asked import JobRequest, Seen, State, filled, word
from elt_factory.sources.remote_job.description import Call, Description, Phase
from elt_factory.sources.remote_job.reply import GONE, Reply, Transport, dig
from elt_factory.sources.remote_job.transport import transport

_LOOKS_AT_A_FAILURE = 2  # of a system with tries of its own, and of a job that is not to be found
_EXCERPT = 500
_PAUSE = timedelta(minutes=1)  # while another job of the same runs there


@dataclass
class RemoteRun:
    """The job of one run, and the way to its system."""

    asked: JobRequest
    how: Description
    via: Transport
    label: TableLabel
    state: State | None = field(default=None)
    clears: int = 0

    @classmethod
    @contextmanager
    def of(cls, asked: JobRequest) -> Iterator[RemoteRun]:
        """Open the way to the system, with what is known of the job."""
        how: Description = REMOTE_JOBS.get(asked.job.kind).describe(asked.job.spec)
        label = asked.label
        kept = asked.memory.read()
        state = msgspec.json.decode(kept, type=State) if kept else None
        with transport(how, asked.connection, label) as via:
            yield cls(asked, how, via, label, state)

    def renew(self, clears: int) -> None:
        """Forget a job that has succeeded before the run was cleared: what is cleared is done again."""
        self.clears = clears
        if self.state is not None and self.state.done and self.state.clears != clears:
            self._forget()

    def finish(self, extra: Callable[[], Any] = lambda: None) -> State:
        """Return the job when it has succeeded. It is started, or joined where an earlier try has started it.

        Args:
            extra: What to keep with it, as it is before the job is started.

        Raises:
            JobRunningError: it runs.
            RemoteJobFailedError: it has failed, and is forgotten: a retry starts another one.
            RemoteJobEndedError: it was cancelled, took too long or is gone.
            AnswerLostError: its start was not answered: a retry looks for it.
        """
        state = self._known() or self._begun(extra)
        if state.done:
            return state
        if state.id is None:
            self._start(state)
        if not state.done:
            self._judge(state, self._look(state))
        return state

    def is_over(self) -> bool:
        """Whether a worker has something to do."""
        if self.state is None or self.state.id is None or self.state.done:
            return True
        return self._look(self.state).phase != "running"

    def cancel(self) -> bool:
        """Cancel the job, where one runs and the system can; whether nothing of it is left running."""
        state = self.state
        if state is None or state.done or not state.sent:
            self._forget()
            return True
        if state.id is None:
            state.id = self._text(self.how.known_id, state) if self.how.known_id else self._found(state)
        if state.id is None:
            self._forget()
            return self.how.find is not None
        return self._cancel(state)

    def _cancel(self, state: State) -> bool:
        cancelled = self.how.cancel is not None
        if self.how.cancel is not None:
            self.asked.log(f"{self.label}: cancelling {self._named(state)}")
            self.via.ask(self._filled(self.how.cancel, state), (*GONE, 400, 409))
        self._forget()
        return cancelled

    def _known(self) -> State | None:
        state = self.state
        if state is None:
            return None
        if state.id is not None:
            self.asked.log(f"{self.label}: joining {self._named(state)}, started at {state.started:%Y-%m-%d %H:%M} UTC")
        elif state.sent:
            self._find_or_decide(state)
        return state

    def _find_or_decide(self, state: State) -> None:
        """Find the job whose start was not answered, or decide that it may be started again."""
        state.id = self._found(state)
        if state.id is not None:
            self.asked.log(f"{self.label}: an earlier try had no answer, and its job was found: {self._named(state)}")
            self._keep(state)
            return
        if self.how.repeatable or self.how.find is not None:
            self.asked.log(f"{self.label}: an earlier try had no answer, and started no job; it is started again")
            return
        if self.asked.job.lost == "start_again":
            self.asked.log(f"{self.label}: an earlier try had no answer; another job is started (lost: start_again)")
            return
        self._forget()
        text = (
            f"a job was asked for at {state.started:%Y-%m-%d %H:%M} UTC and no answer came: whether it runs is unknown"
        )
        hint = "look there; clear the task to start a job. With lost: start_again, a retry starts one without asking"
        raise self.label.error(RemoteJobEndedError, text, hint)

    def _begun(self, extra: Callable[[], Any]) -> State:
        state = State(f"elt-{uuid.uuid4().hex}", self.asked.now(), clears=self.clears, extra=extra())
        if self.how.find is not None and not self.how.find.key:
            state.before = [*self._listed(state)]
        if self.how.marks:
            state.marks = self._marks(self._asked_look(state))
        self.state = state
        self._keep(state)
        return state

    def _start(self, state: State) -> None:
        state.sent = True
        self._keep(state)
        try:
            reply = self.via.start(self._filled(self.how.start, state), self.how.conflict)
        except AnswerLostError:
            raise
        except EltError:
            # it was refused, so there is none
            self._forget()
            raise
        state.id = self._id_of(reply, state)
        state.link = self._link(reply, state)
        if self.how.look is None:
            self._judge(state, self._seen(reply, state))
            return
        self._keep(state)
        self.asked.log(f"{self.label}: started {self._named(state)}")

    def _id_of(self, reply: Reply, state: State) -> str:
        if reply.known:
            return self._running_there(state)
        found = reply.at(self.how.id)
        if self.how.id_header:
            found = (reply.headers.get(self.how.id_header) or "").rstrip("/").rpartition("/")[2]
        if self.how.known_id:
            found = self._text(self.how.known_id, state)
        if self.how.look is None:
            return state.key
        if found in (None, "") or isinstance(found, dict | list):
            text = f"{self.how.start.method} {self.how.start.path}: no id in the response that starts the job"
            raise self.label.error(AnswerLostError, text)
        return str(found)

    def _running_there(self, state: State) -> str:
        """Return our job, where the system says that one runs already.

        Raises:
            SourceBusyError: it is another's, which ours has to wait for.
        """
        found = self._text(self.how.known_id, state) if self.how.known_id else self._found(state)
        if found is not None:
            return found
        self._forget()
        error = self.label.error(SourceBusyError, "another job of the same runs there already; ours has to wait for it")
        error.until = self.asked.now() + _PAUSE
        raise error

    def _judge(self, state: State, seen: Seen) -> None:
        """Keep what a look found, or say that the job runs, or how it ended."""
        if seen.phase == "done":
            state.done = True
            self._keep(state)
            self.asked.log(f"{self.label}: {self._named(state)} has succeeded")
            return
        if seen.phase == "running" or self._may_heal(state, seen):
            self._wait(state, seen)
        told = self._told(state, seen)
        if seen.phase == "gone" and self.asked.job.lost == "fail":
            hint = "look there; clear the task to start another one"
            self._forget()
            raise self.label.error(RemoteJobEndedError, f"{told}: whether it has ended is unknown", hint)
        self._forget()
        if seen.phase == "cancelled":
            raise self.label.error(RemoteJobEndedError, told, "clear the task to start another one")
        raise self.label.error(RemoteJobFailedError, told, "a retry starts another one")

    def _may_heal(self, state: State, seen: Seen) -> bool:
        """Whether to look again: the system may try the job again, or not know it yet."""
        state.troubles += 1
        again = seen.phase == "gone" or (seen.phase == "failed" and self.how.own_retries)
        return again and state.troubles < _LOOKS_AT_A_FAILURE

    def _wait(self, state: State, seen: Seen) -> None:
        """Say that the job runs.

        Raises:
            JobRunningError: it does.
            RemoteJobEndedError: it has taken too long, and was cancelled where that is possible.
        """
        if seen.phase == "running":
            state.troubles = 0
        self._keep(state)
        job, until = self.asked.job, state.started + self.asked.job.within
        status = f', its status is "{seen.said}"' if seen.said else ""
        if self.asked.now() < until:
            error = self.label.error(JobRunningError, f"{self._named(state)} has not ended{status}")
            error.every, error.until = job.every, until
            raise error
        told = f"{self._named(state)} has not ended within {format_duration(job.within)}{status}"
        after = "it was cancelled" if self._cancel(state) else "it still runs there: its system cannot cancel it"
        raise self.label.error(RemoteJobEndedError, f"{told}; {after}", "raise within: of the job")

    def _told(self, state: State, seen: Seen) -> str:
        what = {"gone": "is not known there any more", "cancelled": "was cancelled"}.get(seen.phase, "has failed")
        status = f', its status is "{seen.said}"' if seen.said else ""
        error = f": {' '.join(seen.error.split())[:_EXCERPT]}" if seen.error else ""
        return f"{self._named(state)} {what}{status}{error}"

    def _named(self, state: State) -> str:
        where = f" ({state.link})" if state.link else ""
        return f"the job {state.id} of {self.asked.job.kind}{where}"

    def _look(self, state: State) -> Seen:
        return self._seen(self._asked_look(state), state)

    def _asked_look(self, state: State) -> Reply:
        if self.how.look is None:
            raise TypeError(f"{self.asked.job.kind} has no look")
        reply = self.via.ask(self._filled(self.how.look, state), GONE)
        if not self.how.newest or reply.known:
            return reply
        # tries of the system's own have ids of their own
        mine = next(self._items(reply, state), None)
        return replace(reply, body=mine, known=mine is None)

    def _seen(self, reply: Reply, state: State) -> Seen:
        if reply.known:
            return Seen("gone", str(reply.status or ""))
        said = word(reply.at(self.how.status)) if self.how.status else ""
        errors = (reply.at(path) for path in self.how.errors)
        error = self.label.clean(next((word(found) for found in errors if found), ""))
        if not state.link:
            state.link = self._link(reply, state)
        if self.how.marks:
            return Seen(self._by_marks(reply, state, said), said, error)
        phase = self._phase(reply, said)
        if phase is None:
            raise self.label.error(
                SourceUnavailableError, f'no "{self.how.status}" in the response to a look at the job'
            )
        return Seen(phase, said, error)

    def _phase(self, reply: Reply, said: str) -> Phase | None:
        if not self.how.status and not self.how.rules:
            return "done"
        for path, value, phase in self.how.rules:
            found = word(reply.at(path))
            if found and value in ("*", found):
                return phase
        return self._by_status(said) if said else None

    def _by_status(self, said: str) -> Phase:
        by: Mapping[Phase, Any] = {"done": self.how.done, "failed": self.how.failed, "cancelled": self.how.cancelled}
        for phase, words in by.items():
            if said.casefold() in [word.casefold() for word in words]:
                return phase
        return "running"

    def _by_marks(self, reply: Reply, state: State, said: str) -> Phase:
        found = self._marks(reply)
        path, value = self.how.running
        if word(reply.at(path)) == value:
            return "running"
        if found.get("failed") != state.marks.get("failed"):
            return "failed"
        if found.get("done") == state.marks.get("done"):
            return "running"
        return "failed" if said in self.how.failed else "done"

    def _marks(self, reply: Reply) -> dict[str, str | None]:
        return {name: word(reply.at(path)) or None for name, path in self.how.marks.items()}

    def _found(self, state: State) -> str | None:
        """Return the id of the job whose start was not answered; None where there is none, or none can be found."""
        if self.how.marks:
            reply = self._asked_look(state)
            path, value = self.how.running
            moved = self._marks(reply) != state.marks or word(reply.at(path)) == value
            return self._text(self.how.known_id, state) if moved else None
        if self.how.find is None:
            return None
        return next(iter(self._listed(state)), None)

    def _listed(self, state: State) -> Iterator[str]:
        find = self.how.find
        if find is not None:
            for item in self._items(self.via.ask(self._filled(find.call, state)), state):
                yield word(dig(item, find.id) if find.id else item)

    def _items(self, reply: Reply, state: State) -> Iterator[Any]:
        """Yield what may be ours of a list of jobs, the newest first."""
        find = self.how.find
        if find is None:
            return
        found = reply.at(find.items)
        for item in found if isinstance(found, list) else ():
            id_ = word(dig(item, find.id) if find.id else item)
            if id_ and (state.key in word(dig(item, find.key)) if find.key else id_ not in state.before):
                yield item

    def _link(self, reply: Reply, state: State) -> str:
        if self.how.link_at and isinstance(found := reply.at(self.how.link_at), str):
            return self.label.clean(found)
        return self._text(self.how.link, state) if self.how.link else ""

    def _text(self, text: str, state: State) -> str:
        return render(text, self._values(state), self.asked.zone)

    def _values(self, state: State) -> Values:
        base = {"connection.host": str(self.asked.connection.host or "").rstrip("/")}
        return {**self.asked.values, **base, "job.key": state.key, "job.id": state.id or ""}

    def _filled(self, call: Call, state: State) -> Call:
        values, zone = self._values(state), self.asked.zone
        path = render(call.path, values, zone, partial(quote, safe=""))
        params = {name: filled(value, values, zone) for name, value in call.params.items()}
        return replace(call, path=path, params=params, json=filled(call.json, values, zone))

    def _keep(self, state: State) -> None:
        self.asked.memory.write(msgspec.json.encode(state))

    def _forget(self) -> None:
        self.state = None
        self.asked.memory.forget()


def is_over(asked: JobRequest) -> bool:
    """Whether the job needs a worker."""
    with RemoteRun.of(asked) as run:
        return run.is_over()


def cancel(asked: JobRequest) -> bool:
    """Cancel the job; whether nothing of it is left running."""
    with RemoteRun.of(asked) as run:
        try:
            return run.cancel()
        except TransientError as error:
            asked.log(str(error))
            return False
