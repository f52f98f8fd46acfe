"""The server of a database is killed in the midst of a read: a clear error, and the next try is whole."""

import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
from whole_support import assert_whole

from elt_factory.core.connection import Connection
from elt_factory.core.failures import SourceUnavailableError
from elt_factory.testing.loads import WEEK, Line, source_of

sys.path.append(str(Path(__file__).parents[1]))
from postgres_server import Server, postgres_server, wait_until

ROWS = 60_000
READ = 1_000  # rows that have left the server when it is killed
# a few thousand rows come, and then each thousand takes seconds: a read that is not killed would take minutes
SLOW = """CREATE VIEW things AS SELECT id, v FROM kept
    WHERE id % 1000 <> 0 OR pg_sleep(CASE WHEN id < 3000 THEN 0 ELSE 9 END) IS NOT NULL"""
pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def server() -> Iterator[Server]:
    with postgres_server() as made:
        yield made


def test_a_database_that_is_killed_while_it_is_read_is_a_clear_error_and_the_retry_is_whole(server, tmp_path):
    text = "repeat('abc', 10) || n"
    server.query(f"CREATE TABLE kept AS SELECT n AS id, {text} AS v FROM generate_series(1, {ROWS}) n ORDER BY n")
    server.query(SLOW)
    config = {"name": "src", "extract": {"type": "sql", "connection": "shop"}, "tables": {"things": {}}}
    reached = {"host": "127.0.0.1", "port": server.port, "schema": "postgres", "login": "postgres"}
    line = Line(source_of(config, tmp_path), Connection("shop", "postgres", **reached), tmp_path, print)
    killed: list[int] = []

    def kill() -> None:
        progress = "SELECT coalesce(max(tuples_processed), 0) FROM pg_stat_progress_copy"
        wait_until(lambda: server.query(progress)[0][0] > READ)
        server.kill()
        killed.append(server.port)

    killer = Thread(target=kill, daemon=True)
    killer.start()
    with pytest.raises(SourceUnavailableError, match=r"^src\.things: ") as caught:
        line.load(WEEK)
    killer.join()
    assert killed
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "landing").rglob("manifest.json"))

    server.start()
    server.query("CREATE OR REPLACE VIEW things AS SELECT id, v FROM kept")
    assert_whole(line, [{"id": n, "v": f"{'abc' * 10}{n}"} for n in range(1, ROWS + 1)])
