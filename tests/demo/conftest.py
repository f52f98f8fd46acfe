import socket
from collections.abc import Callable, Iterator

import httpx
import pytest

from demo.process import running

API_KEY = "key-of-the-tests"
UNLIMITED = {
    "DEMO_API_KEY": API_KEY,
    "DEMO_RATE_PER_MINUTE": "1000000",
    "DEMO_BURST": "100000",
    "DEMO_FAIL_EVERY": "0",
}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    return _free_port


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client, with the key, of a server process that neither limits nor fails."""
    with (
        running(tmp_path_factory.mktemp("api"), _free_port(), env=UNLIMITED) as url,
        httpx.Client(base_url=url, headers={"X-API-Key": API_KEY}, trust_env=False, timeout=30) as client,
    ):
        yield client
