"""The jobs of a table: each started once, asked for until it is done, and where its results are."""

from __future__ import annotations

import tempfile
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
import msgspec

from elt_factory.config.models.durations import format_duration
from elt_factory.config.models.templates import Values
from elt_factory.core.connection import Connection
from elt_factory.core.failures import (
    AccessDeniedError,
    BadDataError,
    BadRequestError,
    EltError,
    JobRunningError,
    PermanentError,
    SourceBusyError,
    SourceNotReadyError,
    SourceUnavailableError,
)
from elt_factory.extract.label import TableLabel, source_of
from elt_factory.extract.request import ReadRequest
from elt_factory.extract.templating import endpoint_of, values_of
from elt_factory.sources.rest_api.answer import UnreadableAnswerError
from elt_factory.sources.rest_api.answer_model import AnswerRule
from elt_factory.sources.rest_api.answer_rules import text_at
from elt_factory.sources.rest_api.exchange import Answer, shown
from elt_factory.sources.rest_api.held import connection_of, held_values, shown_values
from elt_factory.sources.rest_api.http import HttpClient
from elt_factory.sources.rest_api.job_links import links_at
from elt_factory.sources.rest_api.job_model import JOB_FILE, JOB_ID, Job
from elt_factory.sources.rest_api.job_state import Done, State, mark_of, name_of
from elt_factory.sources.rest_api.keys import Key
from elt_factory.sources.rest_api.model import RestSource, RestTable
from elt_factory.sources.rest_api.pace import pace_of
from elt_factory.sources.rest_api.request_model import JOB_KEY
from elt_factory.sources.rest_api.requests import Request, request_of
from elt_factory.sources.rest_api.sending import GET, JSON, Sending
from elt_factory.sources.rest_api.whole import refuse_failure

_GONE = (404, 410)
_NO_BODY: Mapping[str, Any] = {
    "params": {},
    "json_body": None,
    "form": None,
    "body": None,
    "graphql": None,
    "variables": {},
}


class JobLostError(SourceUnavailableError):
    """A job has failed or is gone: another try starts another one."""


@dataclass
class JobRun:
    """The jobs of one table for one run: one, or one for each of `for_each` and `slices`."""

    request: ReadRequest
    label: TableLabel
    source: RestSource
    job: Job
    client: HttpClient
    connection: Connection
    _states: dict[str, State] = field(default_factory=dict)
    _answers: dict[str, Answer] = field(default_factory=dict)
    _unanswered: dict[str, State] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Read what is known of the jobs."""
        kept = self.request.memory.read() if self.request.memory else None
        if kept:
            self._states = msgspec.json.decode(kept, type=dict[str, State])

    @classmethod
    @contextmanager
    def of(cls, request: ReadRequest) -> Iterator[JobRun]:
        """Open a client for a look at jobs from elsewhere than their reader.

        Raises:
            TypeError: the table has no job.
        """
        source, label = source_of(request, RestSource), TableLabel.of(request)
        job = source.tables[request.table].job
        if job is None:
            raise TypeError(f"{label} has no job")
        api = source.api_of(request.table)
        connection = connection_of(request, label, source)
        pace = pace_of(api, connection, label, request.shared)
        with HttpClient(api, connection, label, scratch=request.workdir, pace=pace) as client:
            yield cls(request, label, source, job, client, connection)

    def finished(self, keys: Iterable[Key]) -> Iterator[Done]:
        """Yield the jobs when all are done, joined or started; those that a rule of `answers` takes as none are not.

        Raises:
            JobRunningError: one is not done, and the request has a memory by which another try can join it.
            SourceNotReadyError: one takes longer than `within`.
            JobLostError: one has failed, or the API does not know it any more.
        """
        named = {name_of(key): key for key in keys}
        self._join(named)
        while not self._all_done(named):
            # one that was done while others were looked at makes room for the next
            if not self._start_more(named):
                self._wait()
        for name, key in named.items():
            state = self._states[name]
            if state.id is not None:
                answer = self._answers.pop(name, None) or self._look(name, state)
                yield self._done(name, key, state, answer)

    def is_over(self) -> bool:
        """Whether a worker has something to do: a job is done, has failed, or is not there."""
        running = self._running()
        if not running or any(state.id is None for state in running.values()):
            return True
        try:
            return any(self._is_over(name, state) for name, state in running.items())
        except SourceBusyError:
            return False
        except JobLostError:
            return True

    def cancel(self) -> None:
        """Cancel the jobs that run, where the config says how, and forget them."""
        if self.job.cancelling is None:
            return
        for name, state in self._running().items():
            if state.id is not None:
                self.request.log(f"{self.label}: cancelling the job {state.id}")
                self.client.send(self.job.cancelling[0], state.cancel, self.job.cancel_json)
            self._forget(name)

    def _running(self) -> dict[str, State]:
        return {name: state for name, state in self._states.items() if not state.done}

    def _join(self, named: Mapping[str, Key]) -> None:
        """Take over the jobs that an earlier try of the run has started with the requests of this one."""
        warn = self.request.warn or self.request.log
        for name, state in [*self._states.items()]:
            if state.id is None and not state.done:
                warn(f"{self.label}: an earlier try asked for a job and got no answer; another one is started")
                self._unanswered[name] = self._states.pop(name)
            elif name not in named or state.asked != mark_of(self._asked(named[name])):
                warn(f"{self.label}: the job {state.id} was asked for with another request, and is not joined")
                self._forget(name)
            else:
                when = f"{state.started:%Y-%m-%d %H:%M} UTC"
                self.request.log(f"{self.label}: joining the job {state.id}, started at {when}")
                if state.id is not None:
                    self._place(state, named[name])

    def _all_done(self, named: Mapping[str, Key]) -> bool:
        """Look at the jobs that run; whether all are done."""
        for name, state in self._running().items():
            if self._is_over(name, state):
                state.done = True
                self._keep()
        return len(self._states) == len(named) and not self._running()

    def _is_over(self, name: str, state: State) -> bool:
        answer = self._answers[name] = self._look(name, state)
        return self._is_done(answer)

    def _start_more(self, named: Mapping[str, Key]) -> bool:
        """Start as many jobs as may run at the same time; whether there was one to start."""
        limit = self.source.tables[self.request.table].concurrency
        # the keys of those without an answer are kept with the first job that is started
        ordered = sorted(named, key=lambda name: name not in self._unanswered)
        left = [name for name in ordered if name not in self._states][: limit - len(self._running())]
        for name in left:
            self._start(name, named[name])
        return bool(left)

    def _keep(self) -> None:
        if self.request.memory:
            self.request.memory.write(msgspec.json.encode(self._states))

    def _forget(self, name: str) -> None:
        self._states.pop(name, None)
        if self._states:
            self._keep()
        elif self.request.memory:
            self.request.memory.forget()

    def _start(self, name: str, key: Key) -> None:
        mark, before = mark_of(self._asked(key)), self._unanswered.pop(name, None)
        own = before.key if before and before.asked == mark else uuid.uuid4().hex
        asked = self._asked(key, own)
        state = self._states[name] = State(datetime.now(UTC), mark, own)
        self._keep()
        try:
            answer = self.client.start(asked.path, asked.params, asked.sending({}), self._rules)
        except (PermanentError, SourceBusyError):
            # it was refused, so there is none
            self._forget(name)
            raise
        if answer.rule:
            state.done = True
            self._keep()
            return
        with self._placed(answer):
            refuse_failure(answer.parsed, None, ())
        state.id = text_at(self.job.id, lambda: answer.parsed)
        if not state.id:
            there = f"it has the keys: {', '.join(answer.parsed.keys or ())}"
            text = f'{self._of(answer)}: no "{self.job.id}" in the response: {there}'
            raise self.label.error(BadDataError, text, "check id: in job")
        self._place(state, key)
        self._keep()
        self.request.log(f"{self.label}: the job {state.id} is started")

    def _asked(self, key: Key, own: str = "") -> Request:
        names = self.source.tables[self.request.table].held
        # what tells one request from another is kept, and is the same with another secret
        held = held_values(names, self.connection, self.label) if own else shown_values(names)
        values = {**values_of(self.request), **held, JOB_KEY: own, **key.values}
        return request_of(self.source, self.request.table, values, self.source.extract.paginator)

    @contextmanager
    def fetching(self, done: Done) -> Iterator[None]:
        """Forget a job whose results cannot be fetched, for a try that would join it could not fetch them either.

        Raises:
            JobLostError: the API denies them, or does not have them.
        """
        try:
            yield
        except PermanentError as error:
            self._forget(done.name)
            if isinstance(error, AccessDeniedError | BadRequestError):
                # a link with a signature is valid for a time
                raise JobLostError(f"{error}; if its link has expired, a retry starts another job") from None
            raise

    @property
    def _rules(self) -> Sequence[AnswerRule]:
        return self.source.api_of(self.request.table).answers

    def _look(self, name: str, state: State) -> Answer:
        """Return how a job is.

        Raises:
            JobLostError: it has failed, or is gone.
        """
        gone = AnswerRule(status=_GONE, do="end")
        sending = Sending("POST", state.body.encode(), JSON) if state.body else GET
        rules = [*without_ends(self._rules), gone]
        answer = self.client.look(state.path, rules, sending, empty=not self.job.status)
        if answer.rule is gone:
            self._forget(name)
            text = f"{self._of(answer)}: the API does not know the job {state.id} ({answer.status})"
            raise self.label.error(JobLostError, text, "a retry starts another one")
        said = self._status(answer)
        if said is not None and said in [*map(_written, self.job.failed)]:
            self._forget(name)
            why = text_at(self.job.say, lambda: answer.parsed) if self.job.say else None
            told = f": {why}" if why else ""
            text = f'{self._of(answer)}: the job {state.id} has failed, its status is "{said}"{told}'
            raise self.label.error(JobLostError, text, "a retry starts another one")
        return answer

    def _status(self, answer: Answer) -> str | None:
        if self.job.status is None:
            return None
        said = text_at(self.job.status, lambda: answer.parsed)
        if said is None:
            text = f'{self._of(answer)}: no "{self.job.status}" in the response'
            raise self.label.error(BadDataError, text, "check status: in job")
        return said

    def _is_done(self, answer: Answer) -> bool:
        if self.job.status is None:
            return answer.status != httpx.codes.ACCEPTED
        return self._status(answer) in [*map(_written, self.job.done)]

    def _wait(self) -> None:
        """Wait until the next look, here or, with a memory, by way of who called."""
        running = self._running()
        name, state = min(running.items(), key=lambda one: one[1].started)
        answer = self._answers[name]
        said = self._status(answer)
        status = f', its status is "{said}"' if said else ""
        left = state.started + self.job.within - datetime.now(UTC)
        if left <= timedelta():
            text = (
                f"{self._of(answer)}: the job {state.id} is not done within {format_duration(self.job.within)}{status}"
            )
            raise self.label.error(SourceNotReadyError, text, "raise within: in job; a retry looks at the same job")
        if self.request.memory is None:
            time.sleep(min(self.job.every, left).total_seconds())
            return
        more = f" (and {len(running) - 1} more)" if len(running) > 1 else ""
        error = self.label.error(JobRunningError, f"the job {state.id} is not done{status}{more}")
        error.every, error.until = self.job.every, state.started + self.job.within
        raise error

    def _done(self, name: str, key: Key, state: State, answer: Answer) -> Done:
        links: Sequence[str] = ()
        if self.job.result:
            for one in self._with_links(key, state, answer):
                with self._placed(one):
                    links = [*links, *links_at(one.parsed, self.job.result)]
        self.request.log(f"{self.label}: the job {state.id} is done")
        own = {JOB_ID: str(state.id), JOB_KEY: state.key}
        return Done(name, Key({**key.values, **own}, key.kept), str(state.id), links, answer.url)

    def _with_links(self, key: Key, state: State, answer: Answer) -> Sequence[Answer]:
        """Return the responses that have the links: the last one, or those of one more request."""
        if not self.job.links:
            return [answer]
        with self._placed(answer):
            files = list(links_at(answer.parsed, self.job.file)) if self.job.file else [""]
        paths = [self._path(self.job.links, key, state, {JOB_FILE: name}) for name in files]
        return [self.client.look(path, without_ends(self._rules)) for path in paths]

    def _place(self, state: State, key: Key) -> None:
        """Keep where a job is looked at and cancelled, as the config says it now."""
        state.path, state.body = self._path(self.job.path, key, state), self._body(key, state)
        state.cancel = self._path(self.job.cancelling[1], key, state) if self.job.cancelling else ""

    def _values(self, key: Key, state: State) -> Values:
        held = held_values(self.source.tables[self.request.table].held, self.connection, self.label)
        return {**values_of(self.request), **held, **key.values, JOB_ID: state.id or "", JOB_KEY: state.key}

    def _body(self, key: Key, state: State) -> str:
        if self.job.json_body is None:
            return ""
        table = self.source.tables[self.request.table]
        looking = table.model_copy(update={**_NO_BODY, "path": "/", "json_body": self.job.json_body})
        source = self.source.model_copy(update={"tables": {self.request.table: looking}})
        asked = request_of(source, self.request.table, self._values(key, state), self.source.extract.paginator)
        return (asked.sending({}).content or b"").decode()

    def _path(self, path: str, key: Key, state: State, more: Values = MappingProxyType({})) -> str:
        values = {**self._values(key, state), **more}
        try:
            return endpoint_of(path, values, self.source.timezone)
        except EltError as error:
            raise self.label.error(type(error), str(error)) from None

    def _of(self, answer: Answer) -> str:
        return f"{answer.method} {shown(answer.url)}"

    @contextmanager
    def _placed(self, answer: Answer) -> Iterator[None]:
        try:
            yield
        except UnreadableAnswerError as error:
            raise self.label.error(BadDataError, f"{self._of(answer)}: {error}") from None


def without_ends(rules: Sequence[AnswerRule]) -> Sequence[AnswerRule]:
    """Return the rules for a job and its results, which are there: the others are for records that need not be."""
    return [rule for rule in rules if rule.do not in ("skip", "end")]


def of_results(source: RestSource, name: str) -> RestSource:
    """Return the source with a table that asks for the results of its job, and no longer for the job."""
    table = source.tables[name]
    path = (table.job.download if table.job else None) or table.path
    asking: RestTable = table.model_copy(update={**_NO_BODY, "path": path})
    return source.model_copy(update={"tables": {**source.tables, name: asking}})


def is_over(request: ReadRequest) -> bool:
    """Whether the job that the request's memory names needs a worker."""
    with tempfile.TemporaryDirectory() as scratch, JobRun.of(_in(request, scratch)) as job:
        return job.is_over()


def cancel(request: ReadRequest) -> None:
    """Cancel the job that the request's memory names."""
    with tempfile.TemporaryDirectory() as scratch, JobRun.of(_in(request, scratch)) as job:
        job.cancel()


def _in(request: ReadRequest, scratch: str) -> ReadRequest:
    return replace(request, workdir=Path(scratch))


def _written(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
