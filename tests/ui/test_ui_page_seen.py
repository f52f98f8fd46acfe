"""The benchmark of what someone sees leaves no process of its web server."""

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from page_seen import end

# a worker of a server, which would outlive it: it writes that it is there, and ignores SIGTERM
WORKER = "import os, signal, time; signal.signal(15, signal.SIG_IGN); os.write(1, b'here\\n'); time.sleep(600)"
SERVER = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', sys.argv[1]]).wait()"


@pytest.mark.services
@pytest.mark.timeout(60)
def test_the_workers_of_a_server_end_with_it():
    command = [sys.executable, "-c", SERVER, WORKER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == b"here\n"
        end(server)
        # no one has the other end any longer
        assert server.stdout.read() == b""
    end(server)
