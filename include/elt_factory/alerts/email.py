"""E-mail through an SMTP server, whose Airflow connection has the fields of Airflow's SMTP provider."""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from elt_factory.alerts.kind import Message, NotifierKind
from elt_factory.core.connection import Connection

_SECONDS = 15
_PORTS = {"ssl": 465, "starttls": 587, "plain": 25}
_NO_RECIPIENTS = 'the connection names no recipients: set {"to": ["data@example.org"]} in its extra'


def send(connection: Connection, message: Message) -> str:
    """Send a message to the recipients in the connection's extra."""
    extra = connection.extra
    to = extra.get("to") or ()
    recipients = [to] if isinstance(to, str) else list(to)
    if not recipients:
        return _NO_RECIPIENTS
    sender = str(extra.get("from_email") or connection.login or recipients[0])
    try:
        with _opened(connection) as server:
            if connection.login and connection.password:
                server.login(connection.login, connection.password)
            server.send_message(mail(message, sender, recipients))
    except smtplib.SMTPResponseException as error:
        return f"the SMTP server returned status {error.smtp_code}"
    except (smtplib.SMTPException, OSError) as error:
        return f"the SMTP server cannot be used: {type(error).__name__}"
    return ""


def mail(message: Message, sender: str, recipients: list[str]) -> EmailMessage:
    """Return the message as mail; those about one cause are one thread."""
    letter = EmailMessage()
    state = "recovered" if message.recovered else message.severity
    # a line break would begin a header of its own
    letter["Subject"] = f"[{state}] {' '.join(message.text.split())}"[:200]
    letter["From"], letter["To"] = sender, ", ".join(recipients)
    letter["Date"], letter["Message-ID"] = formatdate(localtime=False), make_msgid(domain="elt-factory.invalid")
    letter["References"] = f"<{message.key.replace('/', '.').replace(' ', '_')}@elt-factory.invalid>"
    letter.set_content(message.body)
    return letter


def _opened(connection: Connection) -> smtplib.SMTP:
    extra = connection.extra
    way = "ssl" if not extra.get("disable_ssl", True) else "plain" if extra.get("disable_tls") else "starttls"
    host, port = connection.host or "localhost", connection.port or _PORTS[way]
    seconds = float(extra.get("timeout") or _SECONDS)
    if way == "ssl":
        return smtplib.SMTP_SSL(host, port, timeout=seconds, context=ssl.create_default_context())
    server = smtplib.SMTP(host, port, timeout=seconds)
    try:
        if way == "starttls":
            server.starttls(context=ssl.create_default_context())
    except BaseException:
        server.close()
        raise
    return server


KIND = NotifierKind(
    name="smtp", description="E-mail through an SMTP server, to the recipients in the connection's extra.", send=send
)
