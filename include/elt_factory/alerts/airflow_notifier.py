"""Any notifier of Airflow's: a class of a provider, or of the user's own, that is made for each message."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from html import escape
from importlib import import_module
from typing import Any

from elt_factory.alerts.kind import Message

# what notifiers call the parts of a message: they have it where the config does not say otherwise
_TEXT = ("subject", "title", "summary")
_BODY = ("text", "body", "message", "message_body", "content", "description")


class UnusableNotifierError(Exception):
    """A class that cannot be imported or is not a notifier. Its text has no secret."""


def send(path: str, arguments: Mapping[str, Any], message: Message) -> None:
    """Make a notifier and have it send a message.

    Raises:
        UnusableNotifierError: the class cannot be used. Whatever the notifier raises comes out, too.
    """
    found = notifier_class(path)
    given = {**_by_default(found, message), **_rendered(arguments, message)}
    notifier = found(**given)
    # what it is made with is rendered already, and what others wrote into a message is not a template
    context = {"message": message}
    try:
        notifier.notify(context)
    except NotImplementedError:
        import asyncio

        asyncio.run(notifier.async_notify(context))


def notifier_class(path: str) -> Any:
    """Return the class of a notifier.

    Raises:
        UnusableNotifierError: it cannot be imported, or is not a notifier.
    """
    from airflow.sdk import BaseNotifier

    module, _, name = path.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise UnusableNotifierError(f"cannot import the notifier {path}: {error}") from None
    if not (isinstance(found, type) and issubclass(found, BaseNotifier)):
        raise UnusableNotifierError(f"{path} is not a notifier: it does not extend airflow.sdk.BaseNotifier")
    return found


def _by_default(found: type, message: Message) -> dict[str, Any]:
    html = "<br>".join(escape(line) for line in message.body.splitlines())
    values = {**dict.fromkeys(_TEXT, message.text), **dict.fromkeys(_BODY, message.body), "html_content": html}
    taken = inspect.signature(found).parameters
    return {name: value for name, value in values.items() if name in taken}


def _rendered(value: Any, message: Message) -> Any:
    """Return what a config writes with the message in place of its templates."""
    if isinstance(value, Mapping):
        return {key: _rendered(inner, message) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_rendered(inner, message) for inner in value]
    if not isinstance(value, str) or "{" not in value:
        return value
    from jinja2.sandbox import SandboxedEnvironment

    return SandboxedEnvironment(autoescape=False).from_string(value).render(message=message)
