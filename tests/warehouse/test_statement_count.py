"""A load sends as many statements for a million rows as for one: no statement per row, per file or per column."""

from dataclasses import replace

import duckdb
import pytest

from elt_factory.landing.checksums import sha256_of
from elt_factory.landing.manifest import LandedFile
from elt_factory.testing.warehouses.loader import MERGE, MERGE_BY_CURSOR, as_for_a_task, day


class Recorder:
    """A DuckDB connection that says how often it was asked."""

    def __init__(self, connection) -> None:
        self.connection = connection
        self.sent = []

    def execute(self, statement):
        self.sent.append(statement)
        return self.connection.execute(statement)

    def close(self):
        self.connection.close()


@pytest.fixture
def sent(warehouse, monkeypatch) -> list[str]:
    """Every statement that reaches the warehouse."""
    if isinstance(warehouse._connection, duckdb.DuckDBPyConnection):
        warehouse._connection = Recorder(warehouse._connection)
        return warehouse._connection.sent
    found, real = [], type(warehouse)._run

    def run(self, statement):
        found.append(statement)
        return real(self, statement)

    monkeypatch.setattr(type(warehouse), "_run", run)
    return found


def in_many_files(order, count: int):
    """The same rows in more files, as a landing of many gigabytes has."""
    [part] = order.manifest.files
    whole = order.landing.folder / part.path
    files = []
    for number in range(count):
        path = whole.with_name(f"part_{number}.parquet")
        share = f"SELECT * FROM read_parquet('{whole}') WHERE id % {count} = {number}"
        [(rows,)] = duckdb.execute(f"COPY ({share}) TO '{path}' (FORMAT parquet)").fetchall()
        name = str(path.relative_to(order.landing.folder))
        files.append(LandedFile(name, rows, path.stat().st_size, sha256_of(path)))
    whole.unlink()
    return replace(order, manifest=replace(order.manifest, files=tuple(files)))


@pytest.mark.parametrize(
    "spec", [{}, MERGE, MERGE_BY_CURSOR, {"write_disposition": "replace"}], ids=["append", "merge", "cursor", "replace"]
)
def test_the_number_of_statements_follows_neither_from_rows_nor_files_nor_columns(loader, warehouse, sent, spec):
    counts = []
    for number, (rows, columns, files) in enumerate([(2, 0, 1), (2000, 0, 1), (2000, 30, 5)]):
        loader.name, loader.spec = f"tab{number}", {**spec, "rejects": {"max": "50%"}}
        wide = {f"c{column}": column for column in range(columns)}
        for window in (day(1), day(2)):
            loader.land([{"id": row, "u": row} | wide for row in range(rows)] + ["{"] * (rows // 2), window)
            order = loader.order(window)
            as_for_a_task(warehouse)
            before = len(sent)
            report = warehouse.load(in_many_files(order, files) if files > 1 else order)
            assert report.rows_loaded == rows
        counts.append(len(sent) - before)
    assert counts == counts[:1] * 3
