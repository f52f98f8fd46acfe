"""Requests to another system: over HTTP, or as operations of AWS; both give one kind of reply."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlencode

import msgspec

from elt_factory.core.connection import Connection
from elt_factory.core.failures import AnswerLostError, EltError, SourceUnavailableError
from elt_factory.extract.label import TableLabel
from elt_factory.sources.remote_job.description import Call, Description
from elt_factory.sources.remote_job.reply import Reply, Transport
from elt_factory.sources.rest_api.answer_model import AnswerRule
from elt_factory.sources.rest_api.api_model import RestApi
from elt_factory.sources.rest_api.exchange import Answer
from elt_factory.sources.rest_api.http import HttpClient
from elt_factory.sources.rest_api.pace import pace_of
from elt_factory.sources.rest_api.sending import JSON, Sending


@dataclass(frozen=True)
class Http:
    """Requests over HTTP."""

    client: HttpClient
    label: TableLabel

    def start(self, call: Call, known: Sequence[int | str]) -> Reply:
        """Send a request that is not sent again where it may have had an effect."""
        rules = _rules(known)
        answer = self.client.start(_path(call), {}, _sending(call), rules, empty=True)
        return self._reply(answer, rules, AnswerLostError)

    def ask(self, call: Call, known: Sequence[int | str] = ()) -> Reply:
        """Send a request that may be sent again."""
        rules = _rules(known)
        answer = self.client.look(_path(call), rules, _sending(call), empty=True)
        return self._reply(answer, rules, SourceUnavailableError)

    def _reply(self, answer: Answer, rules: Sequence[AnswerRule], kind: type[EltError]) -> Reply:
        known, content = answer.rule in rules and answer.rule is not None, bytes(answer.body)
        try:
            body = msgspec.json.decode(content) if content.strip() else None
        except (msgspec.DecodeError, RecursionError):
            if not known:
                text = f"{answer.method} {answer.url.path}: the response is not JSON"
                raise self.label.error(kind, text) from None
            body = None
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return Reply(answer.status, body, headers, known)


@contextmanager
def transport(description: Description, connection: Connection, label: TableLabel) -> Iterator[Transport]:
    """Open the way to a system."""
    if description.service:
        from elt_factory.sources.remote_job.aws import Aws

        yield Aws.of(description.service, connection, label)
        return
    api = api_of(description, connection)
    with HttpClient(api, connection, label, scratch=None, pace=pace_of(api, connection, label)) as client:
        yield Http(client, label)


def api_of(description: Description, connection: Connection) -> RestApi:
    """Return the system as a JSON API."""
    written = {"type": "rest_api", "connection": connection.conn_id, "headers": dict(description.headers)}
    return RestApi.model_validate({**written, "auth": description.auth} if description.auth else written)


def _rules(known: Sequence[int | str]) -> Sequence[AnswerRule]:
    statuses = tuple(status for status in known if isinstance(status, int))
    return [AnswerRule(status=statuses, do="end")] if statuses else []


def _path(call: Call) -> str:
    params = {name: value for name, value in call.params.items() if value is not None}
    return f"{call.path}?{urlencode(params, doseq=True)}" if params else call.path


def _sending(call: Call) -> Sending:
    if call.json is None:
        return Sending(call.method, headers=call.headers)
    return Sending(call.method, msgspec.json.encode(call.json), JSON, call.headers)
