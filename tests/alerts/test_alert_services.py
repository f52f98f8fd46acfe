"""Each kind of notifier against a receiver of the test's own, in the shapes that the services document."""

import json
from collections.abc import Iterator
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Thread

import pytest

from elt_factory.alerts import airflow_notifier
from elt_factory.alerts.kind import NOTIFIERS, Message
from elt_factory.core.connection import Connection

SECRET = "s3cret-key"
FAILED = Message(
    "flights",
    "failure",
    "flights: task tables.flights.load failed in run r1: locked",
    "WarehouseBusyError-1",
    impact=("Not updated: fleet_age",),
    next_step="elt diagnose flights",
    link="http://airflow/dags/flights/runs/r1",
    owner="data",
)
RECOVERED = Message("flights", "failure", "flights has recovered", "WarehouseBusyError-1", recovered=True)


class Receiver(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.got: list[tuple[str, dict, dict]] = []
        self.status = 202


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.got.append((self.path, dict(self.headers), body))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class MailServer(ThreadingTCPServer):
    """The part of SMTP that a client needs to leave a letter."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), MailHandler)
        self.letters: list[tuple[list[str], bytes]] = []
        self.refuses = False


class MailHandler(StreamRequestHandler):
    def handle(self) -> None:
        self.say("220 ready")
        recipients: list[str] = []
        while line := self.rfile.readline():
            word = line.split(b":")[0].split()[0].upper()
            if word == b"RCPT":
                recipients.append(line.decode().strip())
            if word == b"DATA":
                self.say("354 go")
                lines = []
                while (line := self.rfile.readline()) != b".\r\n":
                    lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
                self.server.letters.append((recipients, b"".join(lines)))
            refused = self.server.refuses and word == b"MAIL"
            self.say("221 bye" if word == b"QUIT" else "550 no" if refused else "250 ok")
            if word == b"QUIT":
                return

    def say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    yield from served(Receiver())


@pytest.fixture
def mails() -> Iterator[MailServer]:
    yield from served(MailServer())


def served(server):
    Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def sent(kind: str, server, message: Message, **more) -> str:
    host, port = "http://127.0.0.1", server.server_address[1]
    connection = Connection(kind, kind, host, port, password=SECRET, **more)
    return NOTIFIERS.get(kind).send(connection, message)


@pytest.mark.parametrize("kind", ["http", "slackwebhook"])
def test_slack_and_webhooks_take_a_text(receiver, kind):
    assert sent(kind, receiver, FAILED) == ""
    [(path, _, body)] = receiver.got
    assert (path, body) == (f"/{SECRET}", {"text": FAILED.body})
    assert FAILED.body.splitlines() == [FAILED.text, *FAILED.impact, "Next: elt diagnose flights", FAILED.link]


def test_teams_takes_an_adaptive_card(receiver):
    assert sent("msteams", receiver, FAILED) == ""
    [(path, _, body)] = receiver.got
    [attachment] = body["attachments"]
    content = attachment["content"]
    assert (path, body["type"]) == (f"/{SECRET}", "message")
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert (content["type"], content["version"]) == ("AdaptiveCard", "1.4")
    assert [block["text"] for block in content["body"]] == [FAILED.text, *FAILED.details]
    assert content["actions"] == [{"type": "Action.OpenUrl", "title": "Open the run", "url": FAILED.link}]


def test_pagerduty_has_one_incident_for_a_cause_and_resolves_it(receiver):
    assert (sent("pagerduty_events", receiver, FAILED), sent("pagerduty_events", receiver, RECOVERED)) == ("", "")
    (path, _, trigger), (_, _, resolve) = receiver.got
    assert path == "/v2/enqueue"
    assert (trigger["event_action"], resolve["event_action"]) == ("trigger", "resolve")
    assert trigger["routing_key"] == resolve["routing_key"] == SECRET
    assert trigger["dedup_key"] == resolve["dedup_key"] == "elt-factory/flights/WarehouseBusyError-1"
    assert trigger["payload"]["severity"] == "error"
    assert {"summary", "source"} <= set(trigger["payload"])
    assert trigger["links"] == [{"href": FAILED.link, "text": "Open the run"}]


def test_opsgenie_has_one_alert_for_a_cause_and_closes_it(receiver):
    assert (sent("opsgenie", receiver, FAILED), sent("opsgenie", receiver, RECOVERED)) == ("", "")
    (path, headers, alert), (closing, _, note) = receiver.got
    assert (path, headers["Authorization"]) == ("/v2/alerts", f"GenieKey {SECRET}")
    assert (alert["alias"], alert["priority"]) == ("elt-factory/flights/WarehouseBusyError-1", "P2")
    assert len(alert["message"]) <= 130
    assert closing == "/v2/alerts/elt-factory%2Fflights%2FWarehouseBusyError-1/close?identifierType=alias"
    assert note["note"] == RECOVERED.text


def test_mail_reaches_its_recipients_and_letters_of_one_cause_are_one_thread(mails):
    extra = {"to": ["a@example.org", "b@example.org"], "from_email": "elt@example.org", "disable_tls": True}
    connection = Connection("smtp", "smtp", "127.0.0.1", mails.server_address[1], extra=extra)
    for message in (FAILED, RECOVERED, Message("x", "failure", "one\r\nBcc: eve@example.org")):
        assert NOTIFIERS.get("smtp").send(connection, message) == ""
    letters = [message_from_bytes(content, policy=policy.default) for _, content in mails.letters]
    assert [to.lower() for recipients, _ in mails.letters[:1] for to in recipients] == [
        "rcpt to:<a@example.org>",
        "rcpt to:<b@example.org>",
    ]
    assert letters[0]["Subject"] == f"[error] {FAILED.text}"
    assert letters[0].get_content().splitlines() == FAILED.body.splitlines()
    assert letters[1]["Subject"].startswith("[recovered] ")
    assert letters[0]["References"] == letters[1]["References"]
    assert letters[2]["Bcc"] is None


@pytest.mark.parametrize("extra", [{}, {"to": "a@example.org", "disable_tls": True}, {"to": "a@example.org"}])
def test_mail_that_cannot_be_sent_says_why_without_the_password(mails, extra):
    mails.refuses = True
    connection = Connection("smtp", "smtp", "127.0.0.1", mails.server_address[1], extra=extra, password=SECRET)
    said = NOTIFIERS.get("smtp").send(connection, FAILED)
    assert said
    assert SECRET not in said


SMTP = "airflow.providers.smtp.notifications.smtp.SmtpNotifier"


@pytest.fixture
def mail_connection(mails, monkeypatch) -> None:
    extra = {"disable_tls": True, "disable_ssl": True, "from_email": "elt@example.org"}
    spec = {"conn_type": "smtp", "host": "127.0.0.1", "port": mails.server_address[1], "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_OUTBOX", json.dumps(spec))


def test_a_notifier_of_a_provider_of_airflow_s_sends_the_message(mails, mail_connection):
    """What a failing source wrote is text, never a template; what the config writes may have the message."""
    message = Message("flights", "failure", "it said {{ 6 * 7 }} <b>", impact=("Not updated: fleet_age",))
    arguments = {"smtp_conn_id": "outbox", "to": ["{{ message.source }}@example.org"], "cc": None}
    airflow_notifier.send(SMTP, arguments, message)
    airflow_notifier.send(SMTP, arguments | {"subject": "{{ message.severity }}: {{ message.text }}"}, message)
    letters = [message_from_bytes(content, policy=policy.default) for _, content in mails.letters]
    assert [letter["Subject"] for letter in letters] == [message.text, f"error: {message.text}"]
    assert letters[0]["To"] == "flights@example.org"
    html = letters[0].get_body(("html",)).get_content()
    assert "it said {{ 6 * 7 }} &lt;b&gt;<br>Not updated: fleet_age" in html


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("nowhere.Notifier", "cannot import the notifier nowhere.Notifier: No module named 'nowhere'"),
        ("elt_factory.alerts.kind.Message", "elt_factory.alerts.kind.Message is not a notifier: it does not extend "),
    ],
)
def test_what_is_not_a_notifier_is_said(path, said):
    with pytest.raises(airflow_notifier.UnusableNotifierError) as raised:
        airflow_notifier.send(path, {}, FAILED)
    assert str(raised.value).startswith(said)


def test_apprise_takes_each_address_of_the_connection_and_says_how_it_ended(receiver):
    port = receiver.server_address[1]
    extra = {"config": [{"path": f"json://127.0.0.1:{port}/of-the-provider", "tag": "alert"}]}
    connection = Connection("all", "apprise", password=f"json://127.0.0.1:{port}/{SECRET}", extra=extra)
    for message in (FAILED, RECOVERED):
        assert NOTIFIERS.get("apprise").send(connection, message) == ""
    got = sorted((path, body["type"], body["title"], body["message"]) for path, _, body in receiver.got)
    rest = "\n".join([*FAILED.details, FAILED.link])
    assert got == [
        (path, *of_message)
        for path in ("/of-the-provider", f"/{SECRET}")
        for of_message in (("failure", FAILED.text, rest), ("success", RECOVERED.text, RECOVERED.text))
    ]


def test_apprise_that_cannot_send_says_so_without_the_address(receiver, caplog):
    caplog.set_level("DEBUG")
    receiver.status = 403
    port = receiver.server_address[1]
    passwords = ("", "hunter2", f"json://127.0.0.1:{port}/{SECRET} {SECRET}", f"json://user:{SECRET}@127.0.0.1:1/x")
    said = [NOTIFIERS.get("apprise").send(Connection("a", "apprise", password=one), FAILED) for one in passwords]
    assert said[0].startswith("the connection has no address: set the password to one of Apprise's")
    assert said[1:] == [
        "1 of 1 addresses are not Apprise's",
        "1 of 2 addresses are not Apprise's; not every service has taken it",
        "not every service has taken it",
    ]
    assert SECRET not in caplog.text


@pytest.mark.parametrize("kind", ["msteams", "pagerduty_events", "opsgenie"])
def test_a_service_that_refuses_says_so_without_its_key(receiver, kind):
    receiver.status = 403
    said = sent(kind, receiver, FAILED)
    assert said == "it returned status 403"
