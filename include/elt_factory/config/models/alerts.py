"""Alerts: which events are reported, to whom, and when."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from elt_factory.config.errors import MistakeError, raise_found, shown
from elt_factory.config.models import secrets
from elt_factory.config.models.base import Model
from elt_factory.config.models.values import ConnectionId, ParamName, TimeOfDay, TimeZone

AlertEvent = Literal[
    "failure",
    "retry",
    "deadline_near",
    "deadline_missed",
    "deadline_met",
    "quality_warned",
    "quality_failed",
    "schema_changed",
    "rejects",
    "source_silent",
    "stuck_waiting",
    "budget_exceeded",
]
Severity = Literal["info", "warning", "error"]
SEVERITIES: Mapping[AlertEvent, Severity] = {
    "failure": "error",
    "retry": "info",
    "deadline_near": "warning",
    "deadline_missed": "error",
    "deadline_met": "info",
    "quality_warned": "warning",
    "quality_failed": "error",
    "schema_changed": "warning",
    "rejects": "warning",
    "source_silent": "warning",
    "stuck_waiting": "error",
    "budget_exceeded": "warning",
}
_ORDER: tuple[Severity, ...] = ("info", "warning", "error")
_CLASS = r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$"
_INTO_A_CONNECTION = "put the secret into an Airflow connection, and name that: notifiers have a parameter for its id"


def _check_class(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch(_CLASS, value):
        hint = 'write module and class, like "airflow.providers.slack.notifications.slack.SlackNotifier"'
        raise MistakeError(f"{shown(value)} names no class", hint)
    return value


def _check_arguments(value: dict[str, Any]) -> dict[str, Any]:
    raise_found(secrets.in_arguments(value, _INTO_A_CONNECTION))
    return value


NotifierClass = Annotated[str, BeforeValidator(_check_class), WithJsonSchema({"type": "string", "pattern": _CLASS})]
NotifierArguments = Annotated[dict[ParamName, Any], AfterValidator(_check_arguments)]


class Route(Model):
    """A notifier that hears of some of the events. All of its conditions must be met."""

    plain_key: ClassVar[str] = "to"
    schema_rules: ClassVar[Sequence[dict[str, Any]]] = (
        {"oneOf": [{"required": ["to"]}, {"required": ["notifier"]}]},
        {"dependencies": {"arguments": ["notifier"]}},
    )

    to: ConnectionId | None = Field(
        None, description="Airflow connection of the notifier, whose type says which.", examples=["pager"]
    )
    notifier: NotifierClass | None = Field(
        None,
        description="Instead of `to`: the class of any notifier of Airflow's, of a provider or your own.",
        examples=["airflow.providers.smtp.notifications.smtp.SmtpNotifier"],
    )
    arguments: NotifierArguments = Field(
        {},
        description=(
            "What the notifier is made with, without any secret: those are in the connection that it takes. Text may "
            'have the message: "{{ message.text }}". What a message is made of has it by default.'
        ),
        examples=[{"smtp_conn_id": "mail", "to": "data@example.org"}],
    )
    on: tuple[AlertEvent, ...] | None = Field(
        None, description="Events to report. By default, those of `alerts.on`.", examples=[["failure"]]
    )
    severity: Severity = Field("info", description="Least severity to report.", examples=["error"])
    owners: tuple[str, ...] = Field(
        (), description="Owners whose configs are reported. By default, all.", examples=[["data-platform"]]
    )
    after: TimeOfDay | None = Field(None, description="Time of day from which on to report.", examples=["08:00"])
    before: TimeOfDay | None = Field(
        None,
        description="Time of day until which to report. One before `after` is on the next day.",
        examples=["18:00"],
    )
    timezone: TimeZone | None = Field(
        None,
        description="Time zone of `after` and `before`. By default, that of the schedule.",
        examples=["Europe/Oslo"],
    )

    @model_validator(mode="after")
    def _one_notifier(self) -> Self:
        if self.to is None and self.notifier is None:
            hint = "write to: and an Airflow connection, or notifier: and a class"
            raise MistakeError("a route needs a notifier", hint, code="incomplete")
        if self.to is not None and self.notifier is not None:
            hint = "remove one of them, or write two routes"
            raise MistakeError("a route has either to or notifier", hint, at=("notifier",), code="conflict")
        if self.arguments and self.notifier is None:
            raise MistakeError("arguments belong to a notifier", "remove arguments", at=("arguments",), code="conflict")
        return self

    @property
    def label(self) -> str:
        """Who it is, for people: a connection, or the name of a class."""
        return self.to or (self.notifier or "").rpartition(".")[2]

    @property
    def key(self) -> str:
        """What tells it from other notifiers."""
        return self.to or f"{self.notifier} {json.dumps(self.arguments, sort_keys=True, default=str)}"

    def takes(self, event: AlertEvent, owner: str) -> bool:
        """Whether an event of an owner's config is reported, at the right time of day; `on` has to be looked at."""
        enough = _ORDER.index(SEVERITIES[event]) >= _ORDER.index(self.severity)
        return enough and (not self.owners or owner in self.owners)

    def is_open(self, moment: datetime, zone: str) -> bool:
        """Whether it reports at a moment."""
        clock = moment.astimezone(ZoneInfo(self.timezone or zone)).time()
        if self.after and self.before and self.before <= self.after:
            return clock >= self.after or clock < self.before
        return (not self.after or clock >= self.after) and (not self.before or clock < self.before)


class Alerts(Model):
    """Which events are reported, and where."""

    on: tuple[AlertEvent, ...] = Field(
        ("failure", "deadline_missed", "schema_changed", "budget_exceeded"),
        description="Events to report. That a failure is over is reported where the failure was.",
        examples=[["failure"]],
    )
    to: tuple[ConnectionId, ...] = Field(
        (),
        description="Airflow connections of notifiers, whose types say which: http, slackwebhook, msteams, smtp, "
        "pagerduty_events, opsgenie, apprise.",
        examples=[["slack_data"]],
    )
    routes: tuple[Route, ...] = Field(
        (),
        description="More notifiers, each for some events, severities, owners or hours.",
        examples=[[{"to": "pager", "on": ["failure"], "severity": "error", "after": "08:00", "before": "18:00"}]],
    )

    def hears(self, event: AlertEvent, owner: str) -> tuple[Route, ...]:
        """Return the routes that report an event of an owner's config, whatever the time of day is."""
        of_all = [Route(to=name, on=self.on) for name in self.to]
        every = [*of_all, *(route.model_copy(update={"on": route.on or self.on}) for route in self.routes)]
        return tuple(route for route in every if event in (route.on or ()) and route.takes(event, owner))
