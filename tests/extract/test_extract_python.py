"""Functions as sources: whatever they yield is loaded exactly, what they do wrong is one clear error."""

from datetime import timedelta
from textwrap import dedent

import pytest

from elt_factory.core.connection import Connection
from elt_factory.core.failures import BadDataError, BadRequestError
from elt_factory.core.window import Window
from elt_factory.testing.loads import WEEK, Line, source_of
from elt_factory.testing.sources import SourceSuite

pytestmark = pytest.mark.duckdb
NEXT_WEEK = Window(WEEK.end, WEEK.end + timedelta(days=7))
ROWS = [{"id": 1, "name": "Ann"}, {"id": 2, "name": "Bob"}]


@pytest.fixture
def log():
    return []


@pytest.fixture
def line(tmp_path, log, request):
    """Return the line of a config whose function has the given body; its module is named as the test is."""
    module = f"made_{abs(hash(request.node.nodeid))}"

    def made(body, **table):
        text = f"def rows(asked, **given):\n{dedent(body).strip()}".replace("\n", "\n    ")
        (tmp_path / f"{module}.py").write_text(text)
        spec = {"function": f"{module}:rows", "write_disposition": "replace", "sync": "full"} | table
        config = {"name": "own", "extract": {"type": "python"}, "tables": {"people": spec}}
        return Line(source_of(config, tmp_path), None, tmp_path, log.append)

    return made


@pytest.mark.parametrize(
    "body",
    [
        "yield {'id': 1, 'name': 'Ann'}\nyield {'id': 2, 'name': 'Bob'}",
        "return [{'id': 1, 'name': 'Ann'}, {'id': 2, 'name': 'Bob'}]",
        """yield b'{"id": 1, "name": "Ann"}\\n{"id": 2, "name": "Bob"}\\n'""",
        "import pyarrow as pa\nfor n, name in ((1, 'Ann'), (2, 'Bob')):\n  yield pa.table({'id': [n], 'name': [name]})",
        """yield '{"id": 1, "name": "Ann"}'\nyield '{"id": 2, "name": "Bob"}'""",
        # what data frames of polars hand over: Arrow's stream by its C interface, and nothing else
        """import pyarrow as pa
class Frame:
  def __arrow_c_stream__(self, schema=None):
    return pa.table({'id': [1, 2], 'name': ['Ann', 'Bob']}).__arrow_c_stream__(schema)
yield Frame()""",
        "import pyarrow as pa\nyield pa.record_batch({'id': [1, 2], 'name': ['Ann', 'Bob']})",
        "import pandas as pd\nreturn pd.DataFrame({'id': [1, 2], 'name': ['Ann', 'Bob']})",
        "import duckdb\nreturn duckdb.sql(\"select * from (values (1, 'Ann'), (2, 'Bob')) t(id, name)\")",
    ],
)
def test_whatever_holds_rows_is_loaded(line, body):
    found = line(body)
    assert found.load(WEEK).rows_read == 2
    assert sorted(found.rows(), key=str) == ROWS


def test_arrow_whose_columns_change_is_loaded_whole(line):
    body = "import pyarrow as pa\nyield pa.table({'id': [1]})\nyield pa.table({'id': [2], 'name': ['Bob']})"
    found = line(body)
    found.load(WEEK)
    assert sorted(found.rows(), key=str) == [{"id": 1, "name": None}, {"id": 2, "name": "Bob"}]


def test_a_function_is_given_the_window_and_its_arguments(line):
    body = "yield {'id': 1, 'since': asked.start.isoformat(), 'region': given['region']}"
    found = line(body, arguments={"region": "EMEA"}, columns={"since": {"type": "text"}})
    found.load(WEEK)
    assert found.rows() == [{"id": 1, "since": "2013-01-01T00:00:00+00:00", "region": "EMEA"}]


def test_the_state_that_a_function_leaves_is_committed_with_the_rows(line):
    body = """
    last = (asked.state or {'id': 0})['id']
    yield {'id': last + 1}
    asked.state = {'id': last + 1}
    """
    found = line(body, sync="state", write_disposition="append")
    found.load(WEEK)
    found.load(NEXT_WEEK)
    found.load(NEXT_WEEK)
    assert sorted(row["id"] for row in found.rows()) == [1, 2]


@pytest.mark.parametrize(
    ("body", "error", "text"),
    [
        ("yield 5", BadDataError, "the function yielded int; hint: yield Arrow"),
        ("yield [{'id': 1}, 5]", BadDataError, "yielded int among records"),
        ("yield {'id': 1}\nraise ValueError('no such shop')", BadDataError, "failed: ValueError: no such shop"),
        ("import pyarrow as pa\nyield {'id': 1}\nyield pa.table({'id': [2]})", BadDataError, "Arrow and records"),
        ("asked.state = object()\nyield {'id': 1}", BadDataError, "cannot be written as JSON"),
    ],
)
def test_what_a_function_does_wrong_is_one_clear_error_and_loads_nothing(line, body, error, text):
    found = line(body, sync="state", write_disposition="append")
    with pytest.raises(error, match=text):
        found.load(WEEK)


@pytest.mark.parametrize(
    ("function", "text"),
    [
        ("no_such_module:rows", "no module no_such_module"),
        ("elt_factory.core.project:rows", 'has no function "rows"; hint: it has .*project_root'),
        ("elt_factory.core.project:project_root", "cannot be called"),
    ],
)
def test_a_function_that_is_not_there_is_one_clear_error(line, function, text):
    with pytest.raises(BadRequestError, match=text):
        line("yield {}", function=function).load(WEEK)


class TestPythonAsAKind(SourceSuite):
    """What every kind of source must do."""

    config = {
        "name": "own",
        "extract": {"type": "python", "connection": "own"},
        "tables": {
            "people": {
                "function": "python_kind_of_the_tests:rows",
                "arguments": {"count": 2},
                "write_disposition": "replace",
            }
        },
    }
    rows = [{"id": 0}, {"id": 1}]

    def connection(self, folder):
        return self._written(folder, "")

    def broken(self, folder):
        return self._written(folder, "broken")

    def _written(self, folder, host):
        body = "    if asked.connection.host: raise ValueError(asked.connection.password)\n"
        body += "    yield from ({'id': n} for n in range(count))\n"
        (folder / "python_kind_of_the_tests.py").write_text(f"def rows(asked, count):\n{body}")
        return Connection("own", "generic", host=host, password="hunter2hunter2")
