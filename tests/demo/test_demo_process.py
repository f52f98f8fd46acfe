import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from demo.__main__ import main
from demo.errors import DemoError
from demo.process import find, running, start, stop

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def port(free_port: Callable[[], int]) -> int:
    return free_port()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[Path]:
    """The folder of a server that runs."""
    data_dir = tmp_path_factory.mktemp("served")
    start(data_dir, port)
    yield data_dir
    stop(data_dir)


def is_up(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def test_a_started_server_is_healthy_leads_its_own_process_group_and_logs_nothing(served: Path, port: int) -> None:
    server = find(served)

    assert server is not None
    assert is_up(port)
    assert os.getpgid(server.pid) == server.pid != os.getpgid(0)
    assert (served / "flights_api.log").read_text() == ""


def test_starting_again_on_the_same_port_gives_the_same_process(served: Path, port: int) -> None:
    server = find(served)

    assert server is not None
    assert start(served, port) == server.pid


def test_starting_again_on_another_port_says_where_it_runs(
    served: Path, port: int, free_port: Callable[[], int]
) -> None:
    with pytest.raises(DemoError, match=f"is already running on port {port}"):
        start(served, free_port())


def test_a_running_block_leaves_a_server_that_ran_before(served: Path, port: int) -> None:
    with running(served, port) as url:
        assert url == f"http://127.0.0.1:{port}"

    assert is_up(port)


def test_stopping_another_folder_leaves_this_server(served: Path, port: int, tmp_path: Path) -> None:
    assert stop(tmp_path) is False
    assert is_up(port)


def test_a_server_of_another_machine_that_shares_the_folder_is_not_ended(served: Path, port: int) -> None:
    pid_file = served / "flights_api.pid"
    ours = pid_file.read_text()
    pid_file.write_text(json.dumps({**json.loads(ours), "machine": "elsewhere"}))
    try:
        with pytest.raises(DemoError, match="runs on another machine, elsewhere"):
            stop(served)
    finally:
        pid_file.write_text(ours)

    assert is_up(port)


def test_a_port_taken_by_something_else_is_refused_and_nothing_is_left_behind(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(DemoError, match=f"port {port} is in use.*choose another port"):
            start(tmp_path, port)

    assert find(tmp_path) is None


def test_a_port_taken_by_the_server_of_another_folder_is_refused(served: Path, port: int, tmp_path: Path) -> None:
    with pytest.raises(DemoError, match=f"port {port} is in use"):
        start(tmp_path, port)


def test_stop_ends_the_server_and_frees_its_port_and_a_second_stop_does_nothing(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    port = free_port()
    pid = start(tmp_path, port)

    assert stop(tmp_path) is True
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not is_up(port)
    assert stop(tmp_path) is False


def test_stop_does_not_end_a_process_that_a_stale_pid_file_names(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as bystander:
        state = {"pid": bystander.pid, "port": 8100, "machine": socket.gethostname()}
        (tmp_path / "flights_api.pid").write_text(json.dumps(state))

        assert stop(tmp_path) is False
        assert bystander.poll() is None
        bystander.communicate(b"\n")


def test_a_server_that_dies_while_starting_is_reported_with_its_last_words(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    with pytest.raises(DemoError, match="ended while it started: DEMO_BURST is 'x'"):
        start(tmp_path, free_port(), env={"DEMO_BURST": "x"})


def test_the_command_line_starts_in_the_background_and_stops(
    tmp_path: Path, free_port: Callable[[], int], capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()

    assert main(["start", "--data-dir", str(tmp_path), "--port", str(port)]) == 0
    assert is_up(port)
    assert main(["stop", "--data-dir", str(tmp_path)]) == 0
    assert main(["stop", "--data-dir", str(tmp_path)]) == 0
    said = capsys.readouterr().out.splitlines()

    assert said[0].startswith(f"flights API: http://127.0.0.1:{port} (process ")
    assert said[1:] == ["flights API: ended", "flights API: was not running"]
