"""One request and its response over HTTP/1.1: connections, TLS, proxies, and servers that answer oddly."""

from __future__ import annotations

import gzip
import ipaddress
import random
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import elt_factory
from elt_factory.core.connection import Connection
from elt_factory.core.failures import AccessDeniedError, BadRequestError, SourceUnavailableError
from elt_factory.extract.label import TableLabel, secrets_of
from elt_factory.sources.rest_api.api_model import RestApi
from elt_factory.sources.rest_api.exchange import Patience
from elt_factory.sources.rest_api.http import HttpClient
from elt_factory.sources.rest_api.sending import Sending

QUICK = Patience(tries=2, first_wait=0.01, longest_wait=0.02)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n[25]"


@dataclass
class Peer:
    """A server on a socket of its own: what it was sent on each connection."""

    address: tuple[str, int]
    heads: list[list[bytes]] = field(default_factory=list)

    @property
    def lines(self) -> list[bytes]:
        return [head.split(b"\r\n")[0] for heads in self.heads for head in heads]


def head_of(connection: socket.socket) -> bytes:
    """Read to the end of a request's headers."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        came = connection.recv(1)
        if not came:
            break
        head += came
    return head


@contextmanager
def peer(
    answer: Callable[[socket.socket, bytes], bool],
    host: str = "127.0.0.1",
    tls: ssl.SSLContext | None = None,
) -> Iterator[Peer]:
    """Serve; `answer` gets the connection and a head, and says whether the connection stays."""
    listener = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    here = Peer(listener.getsockname()[:2])

    def talk(bare: socket.socket, heads: list[bytes]) -> None:
        with suppress(OSError), bare:
            connection = tls.wrap_socket(bare, server_side=True) if tls else bare
            with connection:
                while head := head_of(connection):
                    heads.append(head)
                    if not answer(connection, head):
                        return

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                here.heads.append([])
                threading.Thread(target=talk, args=(connection, here.heads[-1]), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield here
    finally:
        # a thread that waits for a connection keeps the port otherwise
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def sends(*pieces: bytes, stays: bool = True) -> Callable[[socket.socket, bytes], bool]:
    def answer(connection: socket.socket, _: bytes) -> bool:
        for piece in pieces:
            connection.sendall(piece)
        return stays

    return answer


def client(host: str, patience: Patience = QUICK, **fields) -> HttpClient:
    connection = Connection("api", "http", host=host, **fields)
    api = RestApi(type="rest_api", connection="api", timeout="5s")
    return HttpClient(api, connection, TableLabel("src", "things", secrets_of(connection)), patience)


def url_of(server: Peer, scheme: str = "http") -> str:
    host, port = server.address
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def test_requests_to_a_server_take_one_connection_and_say_who_asks():
    with peer(sends(OK)) as server, client(url_of(server)) as http:
        assert [http.ask("/x", {"page": n}).body for n in range(3)] == [b"[25]"] * 3
    assert server.lines == [b"GET /x?page=%d HTTP/1.1" % n for n in range(3)]
    assert len(server.heads) == 1
    head = server.heads[0][0]
    assert f"User-Agent: elt-factory/{elt_factory.__version__}\r\n".encode() in head
    assert f"Host: 127.0.0.1:{server.address[1]}\r\n".encode() in head


def test_a_host_that_the_connection_names_is_asked_for_in_place_of_its_address():
    with (
        peer(sends(OK)) as server,
        client(url_of(server), extra={"headers": {"host": "api.example.com", "accept": "text/json"}}) as http,
    ):
        assert http.ask("/x", {}).body == b"[25]"
    head = server.heads[0][0].lower()
    assert head.count(b"\r\nhost: ") == 1
    assert b"\r\nhost: api.example.com\r\n" in head
    assert head.count(b"\r\naccept: ") == 1


def test_a_connection_that_the_server_has_closed_is_not_used_again():
    closing = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"
    with peer(sends(closing, stays=False)) as server, client(url_of(server), Patience(tries=1)) as http:
        for _ in range(3):
            assert http.ask("/x", {}).body == b"[]"
            assert server.heads[-1]
            threading.Event().wait(0.05)  # until the end of the connection has come here
    assert len(server.heads) == 3


@pytest.mark.parametrize("packed", [False, True])
def test_a_long_page_of_an_error_is_an_error_like_others_and_its_rest_is_left_unread(packed):
    page = random.Random(1).randbytes(4_000_000)
    body = gzip.compress(b"out of order" + page) if packed else b"out of order" + page
    coding = b"Content-Encoding: gzip\r\n" if packed else b""
    failed = b"HTTP/1.1 500 No\r\nContent-Length: %d\r\n%s\r\n" % (len(body), coding)
    answers = iter([failed + body, OK])
    with peer(lambda connection, _: not connection.sendall(next(answers))) as server, client(url_of(server)) as http:
        assert http.ask("/x", {}).body == b"[25]"
    # what is left of a response is on the connection
    assert len(server.heads) == 2
    with (
        peer(sends(failed + body)) as server,
        client(url_of(server)) as http,
        pytest.raises(SourceUnavailableError, match=r"500 Internal Server Error: out of order.*after 2 tries"),
    ):
        http.ask("/x", {})


@pytest.mark.parametrize("told", ["5", "x", "-1", ""])
def test_a_length_given_by_hand_that_is_another_is_said_and_nothing_is_sent(told):
    with peer(sends(OK)) as server, client(url_of(server)) as http:
        sending = Sending("POST", b"abc", headers={"content-length": told})
        with pytest.raises(BadRequestError, match=f'the header Content-Length is "{told}", the body has 3 bytes'):
            http.ask("/x", {}, sending)
        assert server.heads == []
        assert http.ask("/x", {}, Sending("POST", b"abc", headers={"content-length": "3"})).body == b"[25]"


def test_an_address_of_ipv6_is_asked_by_its_name():
    try:
        with peer(sends(OK), "::1") as server, client(url_of(server)) as http:
            assert http.ask("/x", {}).body == b"[25]"
    except OSError:
        pytest.skip("there is no IPv6 here")
    assert f"Host: [::1]:{server.address[1]}\r\n".encode() in server.heads[0][0]


def test_early_hints_before_a_response_are_no_response():
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
    with peer(sends(hints, OK)) as server, client(url_of(server)) as http:
        assert http.ask("/x", {}).body == b"[25]"


def test_a_refusal_while_a_body_is_being_sent_is_read():
    refused = b"HTTP/1.1 413 Too Large\r\nContent-Length: 9\r\nConnection: close\r\n\r\ntoo large"
    with peer(sends(refused, stays=False)) as server, client(url_of(server)) as http:
        body = Sending("POST", b"x" * 20_000_000, "text/plain")
        with pytest.raises((BadRequestError, SourceUnavailableError), match=r"413 .*too large|Connection reset"):
            http.ask("/x", {}, body)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"", "Server disconnected without sending a response"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[1,", "peer closed connection without sending complete message"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[1", "peer closed connection"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\n[]\r\n0\r\n\r\n", "illegal chunk header"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n[]", "conflicting Content-Length"),
        (b"HTTP/1.1 200 OK\r\nno header\r\n\r\n[]", "illegal header line"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "illegal status line"),
    ],
)
def test_what_is_no_whole_response_is_tried_again_and_then_said(answer, told):
    with (
        peer(sends(answer, stays=False)) as server,
        client(url_of(server)) as http,
        pytest.raises(SourceUnavailableError, match=f"{told}.*after 2 tries"),
    ):
        http.ask("/x", {})
    assert len(server.heads) == 2


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate of a server on loopback, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    encoded = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(encoded)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return folder / "cert.pem", context


def test_a_server_is_known_by_the_authority_that_the_connection_names(certificate):
    file, context = certificate
    with peer(sends(OK), tls=context) as server:
        host = url_of(server, "https")
        with client(host) as http, pytest.raises(SourceUnavailableError, match="certificate verify failed"):
            http.ask("/x", {})
        for verify in (str(file), False):
            with client(host, extra={"verify": verify}) as http:
                assert [http.ask("/x", {}).body for _ in range(2)] == [b"[25]"] * 2


def test_who_is_trusted_is_read_once_and_may_be_replaced_while_requests_are_sent(certificate, tmp_path):
    file, context = certificate
    rotated = tmp_path / "authority.pem"
    rotated.write_bytes(file.read_bytes())
    closing = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    with (
        peer(sends(closing, stays=False), tls=context) as server,
        client(url_of(server, "https"), extra={"verify": str(rotated)}) as http,
    ):
        assert http.ask("/x", {}).body == b"[25]"
        rotated.unlink()
        assert http.ask("/x", {}).body == b"[25]"
    assert len(server.heads) == 2


@pytest.mark.parametrize("host", ["api..example.com", f"{'a' * 64}.example.com"])
def test_a_name_that_no_host_can_have_is_said(host):
    with (
        client(f"http://{host}") as http,
        pytest.raises(SourceUnavailableError, match=r"is not the name of a host, after 2 tries"),
    ):
        http.ask("/x", {})


def test_a_proxy_leads_to_a_server_of_https_and_never_sees_the_request(certificate):
    file, context = certificate
    with peer(sends(OK), tls=context) as server, peer(tunnel) as proxy:
        extra = {"verify": str(file), "proxy": url_of(proxy).replace("//", "//user:pa%20ss@")}
        with client(url_of(server, "https"), extra=extra, password="s3cr3t") as http:
            assert [http.ask("/x", {}).body for _ in range(2)] == [b"[25]"] * 2
    port = server.address[1]
    assert proxy.lines == [b"CONNECT 127.0.0.1:%d HTTP/1.1" % port]
    # user:pa ss
    assert b"Proxy-Authorization: Basic dXNlcjpwYSBzcw==\r\n" in proxy.heads[0][0]
    assert b"Authorization: Bearer s3cr3t\r\n" in server.heads[0][0]
    assert b"Proxy-Authorization" not in server.heads[0][0]


def tunnel(connection: socket.socket, head: bytes) -> bool:
    host, _, port = head.split()[1].decode().partition(":")
    with socket.create_connection((host, int(port))) as server:
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        back = threading.Thread(target=pump, args=(server, connection), daemon=True)
        back.start()
        pump(connection, server)
        back.join(5)
    return False


def pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while came := source.recv(65536):
            target.sendall(came)
        target.shutdown(socket.SHUT_WR)


def test_a_proxy_that_refuses_is_named_by_what_it_says(certificate):
    refused = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    with peer(sends(refused)) as proxy:
        http = client("https://api.example.com", extra={"proxy": url_of(proxy)})
        with http, pytest.raises(SourceUnavailableError, match="407 Proxy Authentication Required"):
            http.ask("/x", {})


def test_a_proxy_that_wants_a_login_for_a_request_is_a_matter_of_its_address():
    refused = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    with peer(sends(refused)) as proxy:
        http = client("http://api.example.com", extra={"proxy": url_of(proxy)})
        with http, pytest.raises(AccessDeniedError, match=r"407 .*hint: check the login in the address of the proxy"):
            http.ask("/x", {})


@pytest.mark.parametrize("proxy", ["socks5://ann:s3cr3t@127.0.0.1:1080", "ftp://ann:s3cr3t@127.0.0.1"])
def test_a_proxy_of_another_kind_is_refused_before_anything_is_sent(proxy):
    with pytest.raises(BadRequestError, match=r"the proxy in the extra of the connection .api. is one of \w+, not of"):
        client("https://api.example.com", extra={"proxy": proxy})


@pytest.mark.parametrize(
    "proxy",
    [
        "http://ann:s3cr3t@127.0.0.1:port",
        "http://ann:s3c/r3t@127.0.0.1:80",
        "http://ann:s3cr3t#@127.0.0.1:80",
        "ann:s3cr3t@",
        "http://xn--a.invalid",
    ],
)
@pytest.mark.parametrize("place", ["the extra of the connection", "the environment"])
def test_a_proxy_that_cannot_be_read_is_said_with_its_place_and_without_its_password(monkeypatch, proxy, place):
    extra = {"proxy": proxy} if "extra" in place else {}
    if not extra:
        monkeypatch.setenv("HTTP_PROXY", proxy)
        monkeypatch.setenv("http_proxy", proxy)
    with pytest.raises(BadRequestError, match=f"the address of the proxy in {place} .*cannot be read") as caught:
        client("http://api.example.com", extra=extra)
    assert "s3c" not in str(caught.value)


@pytest.mark.parametrize("given", ["{host}", "http://{host}", "ann:s3cr3t@{host}", "http://ann:s3cr3t@{host}"])
@pytest.mark.parametrize("by", ["extra", "extra by scheme", "extra by host", "environment"])
def test_the_address_of_a_proxy_is_taken_as_other_programs_take_it(monkeypatch, given, by):
    with peer(sends(OK)) as proxy:
        address = given.format(host=f"127.0.0.1:{proxy.address[1]}")
        named = {
            "extra by scheme": {"https": "x", "http": address},
            "extra by host": {"http://api.example.com": address},
        }
        extra = {"proxy": address} if by == "extra" else {"proxies": named[by]} if by in named else {}
        if by == "environment":
            monkeypatch.setenv("http_proxy", address)
        with client("http://api.example.com", extra=extra) as http:
            assert http.ask("/x", {}).body == b"[25]"
    assert proxy.lines == [b"GET http://api.example.com/x HTTP/1.1"]
    assert (b"Proxy-Authorization: Basic" in proxy.heads[0][0]) is ("@" in given)


def test_a_host_that_no_proxy_is_for_is_asked_by_itself_with_its_port_or_without(monkeypatch):
    with peer(sends(OK)) as server, peer(sends(OK)) as proxy:
        host, port = server.address
        monkeypatch.setenv("http_proxy", url_of(proxy))
        for name in (f"{host}:{port}", host, "*", f"a.example.com, {host}"):
            monkeypatch.setenv("no_proxy", name)
            assert client(url_of(server)).ask("/x", {}).body == b"[25]"
        assert proxy.lines == []
        monkeypatch.setenv("no_proxy", f"{host}:{port + 1}")
        assert client(url_of(server)).ask("/x", {}).body == b"[25]"
        assert len(proxy.lines) == 1


@pytest.mark.parametrize("of_login", [True, False])
def test_a_login_at_another_host_goes_through_the_proxy_of_that_host(monkeypatch, of_login):
    token = b'{"access_token": "t0k3n"}'
    granted = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(token), token)

    def answers(connection: socket.socket, head: bytes) -> bool:
        if head.startswith(b"GET"):
            connection.sendall(OK)
            return True
        left = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        while left:
            left -= len(connection.recv(left))
        connection.sendall(granted)
        return True

    with peer(answers) as server, peer(answers) as login, peer(answers) as proxy:
        monkeypatch.setenv("http_proxy", url_of(proxy))
        monkeypatch.setenv("no_proxy", "localhost" if of_login else "127.0.0.1")
        auth = {"type": "oauth2", "token_url": f"http://localhost:{login.address[1]}/token"}
        connection = Connection("api", "http", host=url_of(server), login="me", password="s3cr3t")
        api = RestApi(type="rest_api", connection="api", timeout="5s", auth=auth)
        with HttpClient(api, connection, TableLabel("src", "things"), QUICK) as http:
            assert http.ask("/x", {}).body == b"[25]"
        got, granted_by = f"GET {url_of(server)}/x HTTP/1.1".encode(), b"POST /token HTTP/1.1"
        if of_login:
            assert (proxy.lines, login.lines, server.lines) == ([got], [granted_by], [])
        else:
            through = f"POST http://localhost:{login.address[1]}/token HTTP/1.1".encode()
            assert (proxy.lines, login.lines, server.lines) == ([through], [], [b"GET /x HTTP/1.1"])


@pytest.mark.parametrize("by", ["itself", "a proxy", "a tunnel"])
def test_what_comes_behind_a_response_is_no_answer_to_the_next_request(certificate, by):
    file, context = certificate
    count = iter(range(10))

    def answers(connection: socket.socket, _: bytes) -> bool:
        number = next(count)
        page, other = (OK.replace(b"[25]", b"[%02d]" % one) for one in (number, 99))
        connection.sendall(page + (other if number == 0 else b""))
        return True

    tls = by == "a tunnel"
    with peer(answers, tls=context if tls else None) as server, peer(tunnel if tls else answers) as proxy:
        extra = {"verify": str(file), **({} if by == "itself" else {"proxy": url_of(proxy)})}
        with client(url_of(server, "https" if tls else "http"), extra=extra) as http:
            assert [http.ask("/x", {}).body for _ in range(4)] == [b"[%02d]" % number for number in range(4)]
        # one that has nothing behind it is used again
        assert len((proxy if by == "a proxy" else server).heads) == 2


@pytest.mark.parametrize(
    "value", ["k\u00e4se-s3cr3t\n", "k\u00e4se-s3cr3t ", "k\u00e4se\r\nX-Other: s3cr3t", "s3c\0r3t"]
)
@pytest.mark.parametrize("named", ["Authorization", "X-Custom"])
def test_a_header_that_cannot_be_sent_is_named_without_its_value(value, named):
    given = {"password": value} if named == "Authorization" else {"extra": {"headers": {named: value}}}
    with peer(sends(OK)) as server, client(url_of(server), **given) as http:
        with pytest.raises(BadRequestError, match=f"the value of the header {named} has a line break") as caught:
            http.ask("/x", {})
        assert server.heads == []
    assert "s3c" not in str(caught.value)
    assert "k\u00e4se" not in str(caught.value)
    assert "xc3" not in str(caught.value)


def test_a_secret_that_a_server_sends_back_within_what_is_no_response_is_not_said():
    def echoes(connection: socket.socket, head: bytes) -> bool:
        line = next(line for line in head.split(b"\r\n") if line.startswith(b"Authorization"))
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + line.replace(b":", b" ") + b"\r\n\r\n")
        return False

    with (
        peer(echoes) as server,
        client(url_of(server), password="k\u00e4se-s3cr3t") as http,
        pytest.raises(SourceUnavailableError, match="illegal header line") as caught,
    ):
        http.ask("/x", {})
    assert "s3cr3t" not in str(caught.value)


def test_of_what_is_no_response_only_the_beginning_is_said():
    records = b'{"data":[{"iban":"DE00"}' + b',{"iban":"DE01 1234"}' * 5000 + b"]}\r\n\r\n"
    with (
        peer(sends(records, stays=False)) as server,
        client(url_of(server)) as http,
        pytest.raises(SourceUnavailableError, match="illegal status line") as caught,
    ):
        http.ask("/x", {})
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ("http://xn--a.invalid", 'invalid host in the connection "api"'),
        ("http://127.0.0.1/base?k=1", "contains a query or a fragment"),
        ("http://127.0.0.1/base#k", "contains a query or a fragment"),
    ],
)
def test_an_address_that_cannot_be_a_connections_is_said(host, told):
    with pytest.raises(BadRequestError, match=told):
        client(host)
