"""What is Snowflake's alone: the way in, what is sent, what is left behind, and what happens when the line breaks."""

import json
import re
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from opening_support import connection_of
from snowflake.connector import errors
from snowflake.connector.cursor import SnowflakeCursor
from snowflake.connector.network import SnowflakeRestful

from elt_factory.core.connection import Connection
from elt_factory.core.failures import (
    AccessDeniedError,
    AccountingError,
    PermanentError,
    TransientError,
    WarehouseBusyError,
    WarehouseCancelledError,
    WarehouseTimeoutError,
    WarehouseUnavailableError,
)
from elt_factory.landing.folded import Folded
from elt_factory.storage.snowflake import GivenHook, session_parameters
from elt_factory.testing.warehouses.loader import (
    MERGE,
    MERGE_BY_CURSOR,
    Crash,
    Loader,
    as_for_a_task,
    crash_points,
    day,
    everything,
)
from elt_factory.warehouse import audit
from elt_factory.warehouse.base import StatementError
from elt_factory.warehouse.dialect import Relation
from elt_factory.warehouse.kind import Purpose
from elt_factory.warehouse.opening import open_warehouse
from elt_factory.warehouse.snowflake import awake
from elt_factory.warehouse.snowflake.errors import translated
from elt_factory.warehouse.snowflake.warehouse import SnowflakeWarehouse, staging_name

AB = [{"id": 1, "v": "a"}, {"id": 2, "v": "b"}]


@pytest.fixture
def connection(fake_snowflake) -> Connection:
    return connection_of(fake_snowflake.fields())


@pytest.fixture
def warehouse(connection):
    with SnowflakeWarehouse(connection) as opened:
        yield opened


@pytest.fixture
def loader(warehouse, tmp_path) -> Loader:
    return Loader(tmp_path / "landing", warehouse)


@pytest.fixture
def posted(monkeypatch) -> list[tuple[str, dict]]:
    """What the connector sends: the last part of the address, and the body."""
    found = []
    real = SnowflakeRestful._post_request

    def post(self, url, headers, body, *args, **kwargs):
        found.append((re.split(r"[/?]", url)[3], json.loads(body)))
        return real(self, url, headers, body, *args, **kwargs)

    monkeypatch.setattr(SnowflakeRestful, "_post_request", post)
    return found


def queries(posted) -> list[tuple[str, str]]:
    """The statements that were sent, each with its query tag."""
    return [
        (body["sqlText"], body.get("parameters", {}).get("QUERY_TAG"))
        for place, body in posted
        if place == "query-request"
    ]


# The way in


def given(**extra) -> Connection:
    fields = {"account": "org-acc", "database": "DB", "role": "R", "warehouse": "WH"} | extra
    return Connection("warehouse", "snowflake", schema="S", login="me", password="secret", extra=fields)


def test_the_connection_says_who_where_and_as_what():
    arguments = GivenHook(given(region="eu")).arguments()
    wanted = {"user": "me", "password": "secret", "account": "org-acc", "database": "DB", "schema": "S", "role": "R"}
    assert {name: arguments[name] for name in wanted} == wanted
    assert (arguments["warehouse"], arguments["region"], arguments["authenticator"]) == ("WH", "eu", "snowflake")


def test_a_key_pair_takes_the_place_of_the_password():
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"secret")
    )
    arguments = GivenHook(given(private_key_content=pem.decode())).arguments()
    assert serialization.load_der_private_key(arguments["private_key"], None).private_numbers() == key.private_numbers()
    assert "password" not in arguments


def test_a_workload_identity_is_passed_on():
    arguments = GivenHook(given(authenticator="WORKLOAD_IDENTITY", workload_identity_provider="AWS")).arguments()
    assert (arguments["authenticator"], arguments["workload_identity_provider"]) == ("WORKLOAD_IDENTITY", "AWS")


class Tokens(BaseHTTPRequestHandler):
    """An OAuth server: it gives a token to who knows the secret."""

    def do_POST(self):
        good = "bWU6c2VjcmV0" in self.headers["Authorization"]  # me:secret
        self.send_response(200 if good else 401)
        self.end_headers()
        self.wfile.write(json.dumps({"access_token": "T1", "expires_in": 600}).encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def token_endpoint():
    with HTTPServer(("127.0.0.1", 0), Tokens) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/token"
        server.shutdown()


def test_oauth_fetches_its_token(token_endpoint):
    extra = {"authenticator": "oauth", "grant_type": "client_credentials", "token_endpoint": token_endpoint}
    arguments = GivenHook(given(**extra)).arguments()
    assert (arguments["authenticator"], arguments["token"]) == ("oauth", "T1")
    assert "password" not in arguments


def test_an_oauth_server_that_refuses_is_no_case_for_a_retry(token_endpoint):
    extra = {"authenticator": "oauth", "grant_type": "client_credentials", "token_endpoint": token_endpoint}
    with pytest.raises(AccessDeniedError, match="401"):
        SnowflakeWarehouse(replace(given(**extra), password="wrong"))


@pytest.mark.parametrize(
    ("connection", "why"),
    [
        (replace(given(), extra={"account": "a"}), 'has no database; set the one .* {"database": "ANALYTICS"}'),
        (given(private_key_file="/nowhere.p8"), 'the connection "warehouse" is not usable: .*private_key_file'),
        (given(authenticator="oauth", grant_type="guess"), "Unsupported grant_type 'guess'"),
        (replace(given(), extra={"database": "d"}), "(?i)account"),
    ],
)
def test_a_connection_that_is_not_complete_says_what_is_missing(connection, why):
    with pytest.raises(AccessDeniedError, match=why):
        SnowflakeWarehouse(connection)


def test_a_server_that_is_not_there_is_a_case_for_a_retry(unused_port):
    nowhere = given(host="127.0.0.1", port=unused_port, protocol="http", login_timeout=1)
    with pytest.raises(WarehouseUnavailableError, match="Could not connect to Snowflake backend"):
        SnowflakeWarehouse(nowhere)


def test_the_type_of_the_connection_picks_it(connection, tmp_path):
    with open_warehouse(connection, tmp_path, print) as opened:
        assert isinstance(opened, SnowflakeWarehouse)


# The session


def test_statements_and_locks_have_limits_that_the_connection_may_change():
    found = session_parameters({"statement_timeout_in_seconds": 60, "TIMEZONE": "Asia/Tokyo", "WEEK_START": 1})
    assert found["STATEMENT_TIMEOUT_IN_SECONDS"] == 60
    assert session_parameters({})["STATEMENT_TIMEOUT_IN_SECONDS"] == 3600
    assert session_parameters({})["LOCK_TIMEOUT"] == 600
    assert (found["TIMEZONE"], found["WEEK_START"]) == ("UTC", 1)


def test_what_is_cast_to_text_keeps_every_digit_whatever_the_account_or_the_connection_says():
    """By Snowflake's defaults a time as text ends with its seconds, and a timestamp with its milliseconds."""
    found = session_parameters({"TIME_OUTPUT_FORMAT": "HH24:MI", "BINARY_OUTPUT_FORMAT": "BASE64"})
    kinds = ("TIME", "TIMESTAMP_NTZ", "TIMESTAMP_TZ", "TIMESTAMP_LTZ")
    assert all("HH24:MI:SS.FF6" in found[f"{kind}_OUTPUT_FORMAT"] for kind in kinds)
    assert (found["DATE_OUTPUT_FORMAT"], found["BINARY_OUTPUT_FORMAT"]) == ("YYYY-MM-DD", "HEX")


def test_an_answer_has_all_of_its_rows_whatever_the_account_or_the_connection_says():
    assert session_parameters({"rows_per_resultset": 1000})["ROWS_PER_RESULTSET"] == 0


def test_the_client_never_gives_up_on_a_statement_before_snowflake_does():
    long = given(session_parameters={"STATEMENT_TIMEOUT_IN_SECONDS": 7200})
    assert GivenHook(long).arguments()["network_timeout"] > 7200
    assert GivenHook(given(network_timeout=5, login_timeout=7)).arguments()["network_timeout"] == 5
    assert GivenHook(given(login_timeout=7)).arguments()["login_timeout"] == 7


def test_autocommit_is_on_in_every_session_whatever_the_connection_says(fake_snowflake, posted):
    """The provider hands out the parameters that the connector wrote its own autocommit into."""
    fields = fake_snowflake.fields(session_parameters={"AUTOCOMMIT": False, "autocommit": False, "WEEK_START": 1})
    connection = connection_of(fields)
    for _ in range(2):
        SnowflakeWarehouse(connection).close()
    hook = GivenHook(connection)
    for _ in range(2):
        hook.arguments()["session_parameters"]["AUTOCOMMIT"] = False
    assert "AUTOCOMMIT" not in hook.arguments()["session_parameters"]
    assert hook.arguments()["autocommit"] is True
    logins = [body["data"]["SESSION_PARAMETERS"] for place, body in posted if place == "login-request"]
    assert [(login["AUTOCOMMIT"], login["WEEK_START"], login["TIMEZONE"]) for login in logins] == [(True, 1, "UTC")] * 2


def test_what_is_outside_of_a_transaction_is_there_at_once_and_what_is_inside_only_after(warehouse, connection):
    warehouse.prepare()
    count = "SELECT count(*) FROM _elt.deadline_misses"
    with SnowflakeWarehouse(connection) as other:
        warehouse.execute("INSERT INTO _elt.deadline_misses (source) SELECT 'a'")
        assert other.query(count).rows == [(1,)]
        with warehouse.transaction():
            warehouse.execute("INSERT INTO _elt.deadline_misses (source) SELECT 'b'")
            assert other.query(count).rows == [(1,)]
        assert other.query(count).rows == [(2,)]


def test_another_virtual_warehouse_is_used_before_anything_else(connection, posted):
    with SnowflakeWarehouse(connection, Purpose(compute="big")) as opened:
        opened.query("SELECT 1")
    assert [statement for statement, _ in queries(posted)] == ['USE WAREHOUSE "BIG"', "SELECT 1"]


# The tag


def test_every_statement_of_a_load_says_whose_it_is(loader, posted):
    loader.land([*AB, "{"])
    before = len(posted)
    loader.warehouse.load(loader.order(run_id="manual__1"))
    sent = queries(posted[before:])
    wanted = {"source": "src", "table": "tab", "dag": "src", "run": "manual__1", "load": loader.load_id(day(1))}
    assert [json.loads(tag) for tag in {tag for _, tag in sent if tag}] == [wanted]
    # the connector asks a second time where to put a file, under the session's tag
    assert {statement[:3] for statement, tag in sent if not tag} <= {"PUT"}
    assert len(sent) > 25


def test_what_is_no_load_says_what_it_was_opened_for(connection, posted):
    with SnowflakeWarehouse(connection, Purpose({"source": "s", "run": "r"})) as opened:
        opened.record("deadline_misses", [{"source": "s", "run_id": "r", "deadline": None, "noticed_at": None}])
    assert {tag for _, tag in queries(posted)} == {'{"source": "s", "run": "r"}'}
    [login] = [body["data"]["SESSION_PARAMETERS"] for place, body in posted if place == "login-request"]
    assert login["QUERY_TAG"] == '{"source": "s", "run": "r"}'


# Staging


def left_behind(warehouse) -> list[tuple]:
    return warehouse.query("SELECT table_name FROM information_schema.tables WHERE table_name LIKE 'STAGED%'").rows


def test_nothing_is_left_of_the_staging(loader, warehouse, posted):
    loader.load([*AB, "{"])
    assert left_behind(warehouse) == []
    put = next(statement for statement, _ in queries(posted) if statement.startswith("PUT"))
    folder = re.search(r"@\S+/", put)[0].removesuffix("data/")
    assert f"REMOVE {folder}" in [statement for statement, _ in queries(posted)]


def test_a_load_that_fails_leaves_nothing_either(loader, warehouse):
    loader.land(AB)
    order = loader.order()
    with pytest.raises(AccountingError):
        warehouse.load(replace(order, manifest=replace(order.manifest, rows=5)))
    assert left_behind(warehouse) == []


def test_cleaning_that_fails_does_not_undo_a_load_and_is_told(connection, tmp_path, monkeypatch):
    real = SnowflakeWarehouse._run

    def run(self, statement):
        if statement.startswith(("DROP", "REMOVE")):
            raise AccessDeniedError("no right to")
        return real(self, statement)

    monkeypatch.setattr(SnowflakeWarehouse, "_run", run)
    told = []
    with SnowflakeWarehouse(connection, log=told.append) as opened:
        report = Loader(tmp_path, opened).load(AB)
    assert report.rows_loaded == 2
    assert told == ["left for a later sweep: no right to"] * 2


def test_what_killed_loads_left_is_swept_by_age(loader, warehouse, posted):
    now = datetime.now(UTC)
    assert warehouse.sweep(now) == []
    loader.load(AB)  # its files stay on the stage of fakesnow, which removes none
    for age in (1, 3):
        name = staging_name("abc", now - timedelta(days=age))
        warehouse.execute(f"CREATE TABLE _elt.{name} (a INT)")
    warehouse.execute("CREATE TABLE _elt.staged_by_hand (a INT)")
    [swept] = warehouse.sweep(now - timedelta(days=2))
    assert (now - timedelta(days=3)).strftime("STAGED_%Y%m%d") in swept
    assert len(left_behind(warehouse)) == 2
    table, folder = warehouse.sweep(now + timedelta(days=1))
    assert "_ABC_" in table
    assert folder.startswith(f"src/tab/{loader.load_id(day(1))}/staged_")
    assert f'REMOVE @"_ELT"."LANDING"/{folder}/' in [statement for statement, _ in queries(posted)]
    assert left_behind(warehouse) == [("STAGED_BY_HAND",)]


def test_a_load_sweeps_what_is_days_old(loader, warehouse):
    warehouse.prepare()
    for age in (1, 3):
        name = staging_name("abc", datetime.now(UTC) - timedelta(days=age))
        warehouse.execute(f"CREATE TABLE _elt.{name} (a INT)")
    loader.load(AB)
    [(left,)] = left_behind(warehouse)
    assert (datetime.now(UTC) - timedelta(days=1)).strftime("STAGED_%Y%m%d") in left


def test_a_file_that_snowflake_counts_otherwise_than_the_manifest_is_named_and_changes_nothing(loader, warehouse):
    loader.load(AB, day(1))
    loader.land([{"id": 3, "v": "c"}], day(2))
    order, before = loader.order(day(2)), everything(warehouse, loader.target)
    [file] = order.manifest.files
    wrong = replace(order.manifest, files=(replace(file, rows=2),), rows=2)
    with pytest.raises(AccountingError, match=rf"holds 2 rows in {file.path}, but the warehouse counts 1; nothing"):
        warehouse.load(replace(order, manifest=wrong))
    assert everything(warehouse, loader.target) == before


# Rights


def refuse(monkeypatch, *beginnings):
    real = SnowflakeWarehouse._run

    def run(self, statement):
        if statement.startswith(beginnings):
            raise AccessDeniedError("Snowflake: 003001 (42501): Insufficient privileges")
        return real(self, statement)

    monkeypatch.setattr(SnowflakeWarehouse, "_run", run)


def test_who_may_not_create_a_schema_is_told_what_an_administrator_runs(warehouse, monkeypatch):
    refuse(monkeypatch, "CREATE SCHEMA", "DESCRIBE SCHEMA")
    wanted = (
        'Insufficient privileges; an administrator can run: CREATE SCHEMA IF NOT EXISTS "_ELT"; '
        'GRANT USAGE, CREATE TABLE, CREATE STAGE ON SCHEMA "_ELT" TO ROLE LOADER;'
    )
    with pytest.raises(AccessDeniedError, match=re.escape(wanted)):
        warehouse.prepare()


def test_who_may_not_create_a_stage_is_told_what_an_administrator_runs(loader, monkeypatch):
    refuse(monkeypatch, "CREATE STAGE", "DESCRIBE STAGE")
    with pytest.raises(AccessDeniedError, match=re.escape('run: CREATE STAGE IF NOT EXISTS "_ELT"."LANDING"; GRANT')):
        loader.load(AB)


def test_who_may_not_create_what_is_there_goes_on(loader, warehouse, monkeypatch):
    loader.load(AB, day(1))
    real = SnowflakeWarehouse._run

    def run(self, statement):
        if statement.startswith(("CREATE SCHEMA", "CREATE STAGE")):
            raise AccessDeniedError("Insufficient privileges")
        # fakesnow describes no schemas and no stages
        return real(self, "SELECT 1" if re.match("DESCRIBE (SCHEMA|STAGE)", statement) else statement)

    monkeypatch.setattr(SnowflakeWarehouse, "_run", run)
    loader.load(AB, day(2))
    assert len(loader.rows()) == 4


# The line breaks


class LostLine:
    """Breaks the line when a statement comes for the n-th time, before Snowflake has it or after."""

    def __init__(self, monkeypatch, statement: str, moment: str) -> None:
        self.broken = False
        real = SnowflakeCursor.execute

        def execute(cursor, command, *args, **kwargs):
            if self.broken or not command.startswith(statement):
                return real(cursor, command, *args, **kwargs)
            self.broken = True
            if moment == "after":
                real(cursor, command, *args, **kwargs)
            cursor.connection.close()
            raise errors.OperationalError("the line is dead", errno=250003)

        monkeypatch.setattr(SnowflakeCursor, "execute", execute)


def test_a_commit_that_arrived_is_a_load_even_if_nobody_heard_of_it(connection, tmp_path, monkeypatch):
    told = []
    with SnowflakeWarehouse(connection, log=told.append) as warehouse:
        loader = Loader(tmp_path, warehouse, spec=MERGE)
        loader.load(AB, day(1))
        LostLine(monkeypatch, "COMMIT", "after")
        assert loader.load([{"id": 2, "v": "B"}], day(2)).rows_loaded == 1
        assert loader.rows("id", "v") == [(1, "a"), (2, "B")]
        assert len(loader.audit("loads", "load_id")) == 2
    assert told == ["lost the connection to Snowflake during the commit; the commit succeeded"]


@pytest.mark.parametrize("statement", ["COMMIT", "INSERT", "DELETE", "COPY", "PUT", "BEGIN", "CREATE TRANSIENT"])
def test_a_line_that_breaks_earlier_is_a_case_for_a_retry_which_finds_the_old_state(
    loader, warehouse, connection, monkeypatch, statement
):
    loader.spec = MERGE_BY_CURSOR
    loader.load([{"id": 1, "u": 1}], day(1))
    before = everything(warehouse, loader.target)
    loader.land([{"id": 1, "u": 2}], day(2))
    lost = LostLine(monkeypatch, statement, "before")
    with pytest.raises(WarehouseUnavailableError, match="the line is dead"):
        warehouse.load(loader.order(day(2)))
    assert lost.broken
    with SnowflakeWarehouse(connection) as other:
        assert everything(other, loader.target) == before
        other.load(loader.order(day(2)))
        assert Loader(loader.base, other).rows("id", "u") == [(1, 2)]


def test_a_crash_before_any_statement_of_any_kind_leaves_the_old_state(loader, warehouse, monkeypatch):
    loader.spec = MERGE_BY_CURSOR
    loader.load([{"id": 1, "u": 1}, "{"], day(1))
    loader.land([{"id": 1, "u": 2}, {"id": 2, "u": 2}, "["], day(2))
    order, before = loader.order(day(2)), everything(warehouse, loader.target)
    real, done = SnowflakeWarehouse._run, False
    for at in crash_points(warehouse, "before"):
        seen = []
        as_for_a_task(warehouse)

        def run(self, statement, seen=seen, at=at):
            seen.append(statement)
            # what cleans up comes after a crash only where the process lives on
            if len(seen) == at and not statement.startswith(("ROLLBACK", "DROP", "REMOVE")):
                raise Crash
            return real(self, statement)

        with monkeypatch.context() as patched:
            patched.setattr(SnowflakeWarehouse, "_run", run)
            try:
                warehouse.load(order)
                done = len(seen) < at
            except Crash:
                pass
        if done:
            break
        if "COMMIT" not in seen[: at - 1]:
            assert everything(warehouse, loader.target) == before
    assert at > 25
    assert loader.rows("id", "u") == [(1, 2), (2, 2)]
    assert loader.audit("loads", "rows_loaded") == [(1,), (2,)]
    assert left_behind(warehouse) == []


# The errors


@pytest.mark.parametrize(
    ("raised", "ours", "retried"),
    [
        (errors.ProgrammingError("no such table", errno=2003), StatementError, False),
        (errors.ProgrammingError("syntax", errno=1003), StatementError, False),
        (errors.ProgrammingError("Insufficient privileges", errno=3001), AccessDeniedError, False),
        (errors.ProgrammingError("lock is held", errno=625), WarehouseBusyError, True),
        (errors.ProgrammingError("reached its timeout", errno=630), WarehouseTimeoutError, True),
        (errors.ProgrammingError("SQL execution canceled", errno=604), WarehouseCancelledError, False),
        (errors.ProgrammingError("aborted by error 300010", errno=603), WarehouseUnavailableError, True),
        (errors.ProgrammingError("Session no longer exists", errno=390111), WarehouseUnavailableError, True),
        (errors.DatabaseError("Incorrect username or password", errno=250001), AccessDeniedError, False),
        (errors.DatabaseError("JWT token is invalid", errno=390144), AccessDeniedError, False),
        (errors.OperationalError("Could not connect", errno=250001), WarehouseUnavailableError, True),
        (errors.InterfaceError("closed"), WarehouseUnavailableError, True),
        (errors.ServiceUnavailableError(), WarehouseUnavailableError, True),
        (errors.ForbiddenError(), AccessDeniedError, False),
        (ConnectionResetError("reset by peer"), WarehouseUnavailableError, True),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, Exception) else None,
)
def test_an_error_says_whether_a_retry_heals_it(raised, ours, retried):
    with pytest.raises(ours) as caught, translated():
        raise raised
    assert isinstance(caught.value, TransientError if retried else PermanentError)


def test_no_error_shows_a_secret():
    with pytest.raises(StatementError, match=r"password \*\*\* is wrong"), translated(["pa55"]):
        raise errors.ProgrammingError("password pa55 is wrong", errno=1)


# Names


def test_names_in_any_case_are_one_column(loader, warehouse):
    loader.load([{"Id": 1, "eMail": "a"}], day(1))
    loader.load([{"Id": 2, "eMail": "b"}], day(2))
    assert list(warehouse.columns(loader.target))[:2] == ["id", "email"]
    assert warehouse.query("SELECT id, email FROM src.tab ORDER BY ID").rows == [(1, "a"), (2, "b")]
    assert loader.audit("schema_changes", "column_name") == []


def test_folded_columns_are_found_in_any_case_and_listed_in_small_letters():
    found = Folded({"ID": 1, "ÜBER": 2})
    assert (found["Id"], found["über"], list(found), len(found)) == (1, 2, ["id", "über"], 2)
    assert "other" not in found
    assert found == {"id": 1, "über": 2}


def test_a_type_is_altered_only_while_no_other_load_has_rows_in_a_transaction(loader, posted):
    """Snowflake warns of an INSERT in one session next to DDL that changes the type of a column in another."""
    loader.spec = {"columns": {"n": {"type": "decimal(10,2)"}}}
    loader.load([{"id": 1, "n": 1}], day(1))
    loader.spec = {"columns": {"n": {"type": "decimal(20,2)"}}}
    posted.clear()
    loader.load([{"id": 2, "n": 2}], day(2))
    sent = [statement for statement, _ in queries(posted)]
    [altered] = [at for at, statement in enumerate(sent) if "SET DATA TYPE" in statement]
    taken = [at for at, statement in enumerate(sent) if statement.startswith('UPDATE "_ELT"."TURN_')]
    committed = [at for at, statement in enumerate(sent) if statement == "COMMIT"]
    assert taken[0] < altered < committed[0] < taken[1]


def test_a_name_whose_small_letters_are_another_name_is_listed_as_it_is():
    found = Folded({"İL": 1, "ID": 2})
    assert (list(found), [found[name] for name in found]) == (["İL", "id"], [1, 2])


def test_the_turn_that_a_rebuild_holds_is_never_idle(loader, warehouse, posted, monkeypatch):
    """Snowflake rolls a transaction back that others wait for and that was idle for five minutes."""
    monkeypatch.setattr(awake, "PAUSE", 0.01)
    loader.load([{"id": 1, "n": 1}], day(1))
    real = warehouse.execute

    def execute(statement):
        if statement.startswith("CREATE OR REPLACE TABLE"):
            time.sleep(1)
        return real(statement)

    warehouse.execute = execute
    loader.load([{"id": 2, "n": 2.5}], day(2))
    asked = audit.whose_turn(warehouse.dialect, "src", "tab")
    assert [statement for statement, _ in queries(posted)].count(asked) > 3
    assert len(loader.rows("id")) == 2


def test_a_table_of_another_database_is_not_taken_for_ours(connection, warehouse):
    for create in ("DATABASE other", 'SCHEMA other."SRC"', 'TABLE other."SRC"."TAB" (id INT)'):
        warehouse.execute(f"CREATE {create}")
    warehouse.execute(f"USE DATABASE {connection.extra['database']}")
    assert warehouse.query('SELECT * FROM other."SRC"."TAB"').rows == []
    assert warehouse.columns(Relation("src", "tab")) is None


def test_the_clock_is_that_of_snowflake_and_not_of_the_worker(warehouse, monkeypatch):
    """What a worker whose clock is slow has loaded would else count as older than the keys of a later read."""
    real = datetime

    class Slow(datetime):
        @classmethod
        def now(cls, tz=None):
            return real.now(tz) - timedelta(hours=1)

    monkeypatch.setattr("elt_factory.warehouse.snowflake.warehouse.datetime", Slow)
    assert abs(warehouse.now() - real.now(UTC)) < timedelta(seconds=10)


def test_a_slow_answer_to_what_time_it_is_does_not_put_the_clock_back(warehouse, monkeypatch):
    late, monotonic, query = [0.0], time.monotonic, warehouse.query

    def slow(statement: str):
        found = query(statement)
        late[0] += 60
        return found

    monkeypatch.setattr(time, "monotonic", lambda: monotonic() + late[0])
    monkeypatch.setattr(warehouse, "query", slow)
    first = warehouse.now()
    assert warehouse.now() - first >= timedelta(seconds=60)
