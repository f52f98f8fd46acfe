"""What serves logs to the web UI listens on the loopback interface, as the web UI does."""

import os
import socket
from contextlib import closing
from multiprocessing import get_context

import httpx
import psutil
import pytest

from elt_factory.cli.background import HOST
from elt_factory.cli.running import log_server
from elt_factory.cli.running.components import addresses
from live_airflow import within

pytestmark = pytest.mark.services


@pytest.fixture
def listening(unused_port, monkeypatch):
    """The addresses on which the server listens that a component of Airflow starts, and its port."""
    from airflow.utils import serve_logs

    monkeypatch.setattr(serve_logs, "serve_logs", serve_logs.serve_logs)
    log_server.listen_here()
    from airflow.utils.serve_logs import serve_logs as as_airflow_finds_it

    server = get_context("spawn").Process(target=as_airflow_finds_it, kwargs={"port": unused_port})
    server.start()
    try:
        yield lambda: listened(server.pid), unused_port
    finally:
        server.terminate()
        server.join(20)


def listened(pid: int) -> set[str]:
    return {one.laddr.ip for one in psutil.Process(pid).net_connections() if one.status == psutil.CONN_LISTEN}


def test_a_log_server_listens_on_the_loopback_interface_alone(listening):
    addresses_of, port = listening
    assert within(60, addresses_of) == {HOST}
    # it is Airflow's, and asks for a token
    assert httpx.get(f"http://{HOST}:{port}/log/any.log").status_code == 403
    with closing(socket.socket()) as other:
        other.settimeout(2)
        assert other.connect_ex(("127.0.0.2", port)) != 0


def test_the_web_ui_asks_for_logs_where_they_are_served(monkeypatch):
    from airflow.utils.net import get_hostname

    for name, value in addresses(8080).items():
        monkeypatch.setenv(name, value)
    assert get_hostname() == HOST
    assert os.environ["AIRFLOW__CORE__HOSTNAME_CALLABLE"].startswith("elt_factory.")
