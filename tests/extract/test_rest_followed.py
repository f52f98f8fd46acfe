"""An API whose records are landed while more of them are read: a load is right, or it is none."""

import json
import threading
from datetime import timedelta

import pytest
from extract_support import Reply, serving

from elt_factory.core.failures import BadRequestError
from elt_factory.extract import growing
from elt_factory.landing import following
from elt_factory.landing import lines as line_stream
from elt_factory.testing.loads import WEEK, Line, source_of

pytestmark = pytest.mark.duckdb

PAGES, ROWS = 20, 100
DAY = timedelta(days=1)
CURSOR = {"type": "cursor", "cursor_path": "next", "cursor_param": "page"}


def page_of(number: int, region: str = "") -> Reply:
    data = [
        {"id": number * ROWS + row, "region": region, "name": f"name {row}", "price": row / 8} for row in range(ROWS)
    ]
    return Reply(json.dumps({"data": data, "next": number + 1 if number + 1 < PAGES else None}).encode())


def answer(asked) -> Reply:
    return page_of(int(asked.params.get("page", 0)), asked.params.get("region", ""))


@pytest.fixture
def followed(monkeypatch) -> list[bool]:
    """Whether each read was landed while it was read."""
    monkeypatch.setattr(growing, "ENOUGH_BYTES", 30_000)
    monkeypatch.setattr(line_stream, "BATCH_BYTES", 10_000)
    used, original = [], following.Follower.follow

    def follow(self, read):
        spool = original(self, read)
        used.append(self.read is not None)
        return spool

    monkeypatch.setattr(following.Follower, "follow", follow)
    return used


def line(server, folder, **table) -> Line:
    fields = {"path": "/rows", "records": "data", "write_disposition": "replace", **table}
    extract = {"type": "rest_api", "connection": "api", "paginator": CURSOR}
    config = {"name": "shop", "start_date": "2013-01-01", "extract": extract, "tables": {"rows": fields}}
    return Line(source_of(config, folder), server.connection(), folder, lambda _: None)


def test_the_rows_of_all_pages_are_loaded_each_once(tmp_path, followed):
    with serving(answer) as server:
        loads = line(server, tmp_path)
        assert loads.load(WEEK).total_rows == PAGES * ROWS
        assert sorted(row["id"] for row in loads.rows()) == list(range(PAGES * ROWS))
    assert followed == [True]


def test_the_pages_of_several_keys_that_are_read_at_the_same_time_are_all_loaded(tmp_path, followed):
    regions = ["north", "south", "east", "west"]
    with serving(answer) as server:
        each = {"for_each": {"region": regions}, "path": "/rows?region={{ region }}", "keep": {"of": "region"}}
        loads = line(server, tmp_path, **each)
        assert loads.load(WEEK).total_rows == len(regions) * PAGES * ROWS
        rows = loads.rows()
    assert {(row["region"], row["id"]) for row in rows} == {(r, n) for r in regions for n in range(PAGES * ROWS)}
    assert all(row["of"] == row["region"] for row in rows)
    assert followed == [True]


def test_a_read_that_fails_at_its_last_page_lands_nothing_and_the_next_one_is_whole(tmp_path, followed):
    broken = []

    def fails(asked):
        return Reply(b"{}", 404) if asked.params.get("page") == str(PAGES - 1) and broken else answer(asked)

    with serving(fails) as server:
        loads = line(server, tmp_path)
        loads.load(WEEK)
        before, landed = loads.rows(), sorted(tmp_path.rglob("landing/**/*"))
        broken.append(True)
        with pytest.raises(BadRequestError):
            loads.load(WEEK)
        assert loads.rows() == before
        assert sorted(tmp_path.rglob("landing/**/*")) == landed
        assert "landing" not in {thread.name for thread in threading.enumerate()}
        broken.clear()
        assert loads.load(WEEK).total_rows == PAGES * ROWS
    assert followed == [True, True]


def test_a_column_that_comes_with_the_last_page_is_a_column_of_the_table(tmp_path, followed):
    def grows(asked):
        body = json.loads(answer(asked).body)
        for record in body["data"] if body["next"] is None else ():
            record["added"] = 1
        return Reply(json.dumps(body).encode())

    with serving(grows) as server:
        loads = line(server, tmp_path)
        assert loads.load(WEEK).total_rows == PAGES * ROWS
        assert sum(row["added"] == 1 for row in loads.rows()) == ROWS
    assert followed == [False]


@pytest.mark.parametrize("sign", ["\n", "\r", "\r\n", "\t", "\x0b"])
def test_a_text_with_a_sign_that_json_has_escaped_is_no_other_text_but_a_reject(tmp_path, sign):
    # between tokens line breaks and tabs are blanks
    good = '{"id": 1,\r\n\t"note": {"a":\n[1, "b c"]}}'
    bad = '{"id": 2, "note": {"a": "b' + sign + 'c"}}'
    with serving(lambda _: Reply(f'{{"data": [{good}, {bad}]}}'.encode())) as server:
        loads = line(server, tmp_path)
        loads.load(WEEK)
        with loads.warehouse() as warehouse:
            (reject,) = warehouse.query("SELECT reason FROM _elt.rejects").dicts()
        (row,) = loads.rows()
    assert "malformed" in reject["reason"]
    assert (row["id"], json.loads(row["note"])) == (1, {"a": [1, "b c"]})


@pytest.mark.parametrize("form", [None, {"type": "csv"}])
def test_the_version_of_the_last_piece_stays_however_the_pieces_are_read_and_landed(tmp_path, followed, form):
    def changes(asked):
        day = asked.params["day"]
        rows = [(1, day), *((f"{day[-2:]}{row:04}", day) for row in range(2_000))]
        if form:
            return Reply("".join(f"{key},{day}\n" for key, day in [("id", "day"), *rows]).encode())
        return Reply(json.dumps({"data": [{"id": int(key), "day": day} for key, day in rows]}).encode())

    table = {"params": {"day": "{{ window.start | date }}"}, "slices": "1d", "primary_key": ["id"]}
    table |= {"write_disposition": "merge", **({"format": form, "records": None} if form else {})}
    with serving(changes) as server:
        loads = line(server, tmp_path, **table)
        loads.load(WEEK)
        assert [str(row["day"]) for row in loads.rows() if int(row["id"]) == 1] == [f"{WEEK.end.date() - DAY}"]
