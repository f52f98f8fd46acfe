"""What a kind of notifier is: one object, `KIND`. The type of the Airflow connection in `alerts.to` picks it.

Another package adds a kind by an entry point in the group `elt_factory.notifiers`: its name is the connection's type,
its value where the object is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from elt_factory.config.models.alerts import SEVERITIES, AlertEvent
from elt_factory.core.connection import Connection
from elt_factory.core.kinds import Door

NOTIFIERS: Door[NotifierKind] = Door(
    "elt_factory.notifiers",
    {
        "http": "elt_factory.alerts.webhook:HTTP",
        "slackwebhook": "elt_factory.alerts.webhook:SLACK",
        "msteams": "elt_factory.alerts.teams:KIND",
        "smtp": "elt_factory.alerts.email:KIND",
        "pagerduty_events": "elt_factory.alerts.pagerduty:KIND",
        "opsgenie": "elt_factory.alerts.opsgenie:KIND",
        "apprise": "elt_factory.alerts.apprise_services:KIND",
    },
    takes="elt_factory.alerts.kind:NotifierKind",
)
# the extra of the package that a type of connection needs
EXTRAS_OF_NOTIFIERS: Mapping[str, str] = {"apprise": "apprise"}


@dataclass(frozen=True)
class Message:
    """What happened: the config, the event, and a sentence without any secret that Airflow knows of.

    `cause` is the same for all messages about one cause: services of incidents group by it. `recovered` says that it is
    over. `impact` is what it means and for whom, `next_step` a command, `link` the run in Airflow.
    """

    source: str
    event: AlertEvent
    text: str
    cause: str = ""
    recovered: bool = False
    impact: tuple[str, ...] = ()
    next_step: str = ""
    link: str = ""
    owner: str = ""

    @property
    def severity(self) -> Literal["info", "warning", "error"]:
        """How bad it is."""
        return "info" if self.recovered else SEVERITIES[self.event]

    @property
    def key(self) -> str:
        """What services of incidents tell one cause from another by."""
        return f"elt-factory/{self.source}/{self.cause or self.event}"

    @property
    def details(self) -> tuple[str, ...]:
        """The lines after the sentence."""
        next_step = (f"Next: {self.next_step}",) if self.next_step else ()
        return (*self.impact, *next_step)

    @property
    def body(self) -> str:
        """The whole message as plain text."""
        return "\n".join([self.text, *self.details, *([self.link] if self.link else [])])


@dataclass(frozen=True)
class NotifierKind:
    """All that is known of a kind of notifier.

    Args:
        name: The type of the Airflow connection.
        description: Where its messages go, in one sentence.
        send: Sends a message within seconds. Returns why it was not taken, without any secret; "" when it was. Whatever
            it raises is logged by its type alone, and never fails the task.
    """

    name: str
    description: str
    send: Callable[[Connection, Message], str]
