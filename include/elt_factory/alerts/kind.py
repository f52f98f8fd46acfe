"""What a kind of notifier is: one object, `KIND`. The type of the Airflow connection in `alerts.to` picks it.

Another package adds a kind by an entry point in the group `elt_factory.notifiers`: its name is the connection's type,
its value where the object is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from elt_factory.config.models.source import AlertEvent
from elt_factory.core.connection import Connection
from elt_factory.core.kinds import Door

NOTIFIERS: Door[NotifierKind] = Door(
    "elt_factory.notifiers",
    {"http": "elt_factory.alerts.webhook:HTTP", "slackwebhook": "elt_factory.alerts.webhook:SLACK"},
    takes="elt_factory.alerts.kind:NotifierKind",
)


@dataclass(frozen=True)
class Message:
    """What happened: the config, the event, and a sentence without any secret that Airflow knows of."""

    source: str
    event: AlertEvent
    text: str


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
