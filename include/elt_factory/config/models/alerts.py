"""Alerts: which events are reported, to whom, and when."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar, Literal
from zoneinfo import ZoneInfo

from pydantic import Field

from elt_factory.config.models.base import Model
from elt_factory.config.models.values import ConnectionId, TimeOfDay, TimeZone

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
}
_ORDER: tuple[Severity, ...] = ("info", "warning", "error")


class Route(Model):
    """A notifier that hears of some of the events. All of its conditions must be met."""

    plain_key: ClassVar[str] = "to"

    to: ConnectionId = Field(description="Airflow connection of the notifier.", examples=["pager"])
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
        ("failure", "deadline_missed", "schema_changed"),
        description="Events to report. That a failure is over is reported where the failure was.",
        examples=[["failure"]],
    )
    to: tuple[ConnectionId, ...] = Field(
        (),
        description="Airflow connections of notifiers, whose types say which: http, slackwebhook, msteams, smtp, "
        "pagerduty_events, opsgenie.",
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
