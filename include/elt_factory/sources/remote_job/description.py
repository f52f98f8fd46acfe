"""How a system's jobs are started, looked at and cancelled, as data; and what a kind of remote job is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal
from urllib.parse import quote

from pydantic import AfterValidator

from elt_factory.config.errors import raise_found
from elt_factory.config.models.base import Model, require_words
from elt_factory.config.models.remote_jobs import check_job_texts
from elt_factory.sources.rest_api.request_model import secrets_in

Phase = Literal["running", "done", "failed", "cancelled", "gone"]
KEY, ID = "{{ job.key }}", "{{ job.id }}"  # in texts of a call
CONFLICT = 409


def _check_payload(value: dict[str, Any]) -> dict[str, Any]:
    raise_found(secrets_in(value))
    check_job_texts(value)
    return value


# what a job is given: JSON with templates, and no secrets
Payload = Annotated[dict[str, Any], AfterValidator(_check_payload)]


@dataclass(frozen=True)
class AsText:
    """JSON that is sent as a text within JSON."""

    value: Any


@dataclass(frozen=True)
class Call:
    """One request.

    Args:
        method: The method; of AWS the name of the operation.
        path: The path below the connection's address.
        params: Parameters of its query.
        json: Its body; of AWS the arguments.
        headers: Headers of this request.
    """

    method: str = "GET"
    path: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    json: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Find:
    """How a job is found whose start was not answered.

    Args:
        call: Lists the newest jobs.
        items: Path of the list.
        id: Path of the id of each.
        key: Path of what holds our key in each. Without it, a job is ours that was not listed before ours was started.
    """

    call: Call
    items: str
    id: str
    key: str = ""


@dataclass(frozen=True)
class Description:
    """How the jobs of a system are handled. Paths are dotted, and lead through the JSON of a response.

    Args:
        start: Starts a job.
        look: Shows it; None where the answer of the start is its end.
        id: Path of the id in the answer to the start; "" where `known_id` is one.
        status: Path of the status in the answer to a look.
        rules: Path, value ("*" is any) and what that says of a job, where a status alone does not; the first that fits.
        done: Statuses of success.
        failed: Statuses of failure.
        cancelled: Statuses of a job that was cancelled.
        errors: Paths of what went wrong, the best one first.
        link: Text with the address at which people see the job.
        link_at: Path of that address in an answer.
        id_header: Header of the answer to the start that has the id.
        known_id: The id, where it is known before.
        find: Finds a job whose start was not answered.
        repeatable: Whether the start may be sent again: the system knows it by its key, or it does no harm.
        marks: Paths in a look whose values change when a job has ended, where a system has no ids: `done`, `failed`.
        running: Path and value that say that one is running, for a system without ids.
        cancel: Cancels it.
        newest: Whether the look is a list as that of `find`, of which the first one with our key counts.
        own_retries: Whether the system itself may try a job again that has failed, under the same id.
        auth: How credentials are sent, as `auth:` of JSON APIs is written; None for the connection's own way.
        service: The service of AWS, where it is one.
        headers: Headers of every request.
        conflict: Statuses, or codes of AWS, of a start that say that a job is running already.
    """

    start: Call
    look: Call | None = None
    id: str = ""
    status: str = ""
    rules: Sequence[tuple[str, str, Phase]] = ()
    done: Sequence[str] = ()
    failed: Sequence[str] = ()
    cancelled: Sequence[str] = ()
    errors: Sequence[str] = ()
    link: str = ""
    link_at: str = ""
    id_header: str = ""
    known_id: str = ""
    find: Find | None = None
    repeatable: bool = False
    marks: Mapping[Literal["done", "failed"], str] = field(default_factory=dict)
    running: tuple[str, str] = ("", "")
    cancel: Call | None = None
    newest: bool = False
    own_retries: bool = False
    auth: Mapping[str, Any] | None = None
    service: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    conflict: Sequence[int | str] = (CONFLICT,)


@dataclass(frozen=True)
class RemoteJobKind:
    """All that is known of a system whose jobs a run can start.

    Args:
        name: The key in the YAML.
        model: What is written under the key. Each field has a description and an example.
        description: What it does, in one sentence.
        examples: What may be written under the key.
        describe: How its jobs are handled.
        words: What it starts, for people.
        loaded_at: The column in which the tool that loads tables says when it did so; "" for none of its own.
        connection_types: The types of Airflow connections that fit; "*" is any that no other kind takes.
        extras: The extra of ELT Factory that a type of connection needs.
    """

    name: str
    model: type[Model]
    description: str
    examples: tuple[Any, ...]
    describe: Callable[[Any], Description]
    words: Callable[[Any], str]
    loaded_at: str = ""
    connection_types: Sequence[str] = ("http", "https", "generic", "*")
    extras: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a kind that its reference or an editor could not explain."""
        if not self.description or not self.examples:
            raise TypeError(f"the remote job {self.name} needs a description and an example")
        require_words(self.model)


def part(value: object) -> str:
    """Return a value as one part of a path."""
    return quote(str(value), safe="")
