"""What every format must do, for each of ours."""

import io

import pyarrow as pa
import pyarrow.parquet as pq

from elt_factory.testing.formats import FormatSuite


class TestCsv(FormatSuite):
    form = {"type": "csv", "delimiter": ";"}
    content = b'a;b\n1;x\n2;y;z\n3;"u;v"\n'
    rows = [{"a": 1, "b": "x"}, {"a": 3, "b": "u;v"}]
    rejected = 1
    unreadable = b"%PDF-1.7 not text\n"
    ending = ".csv"


class TestNdjson(FormatSuite):
    form = {"type": "ndjson"}
    content = b'{"a": 1, "b": "x"}\nnothing\n\n[1]\n{"a": 2, "b": null}\n'
    rows = [{"a": 1, "b": "x"}, {"a": 2, "b": None}]
    rejected = 2
    unreadable = b'[{"a": 1},\n {"a": 2}]\n'
    ending = ".ndjson"
    sample = b'{"a": 1, "b": "x"}\n'


def parquet() -> bytes:
    target = io.BytesIO()
    pq.write_table(pa.table({"a": pa.array([1, 2]), "b": ["x", None]}), target)
    return target.getvalue()


class TestParquet(FormatSuite):
    form = {"type": "parquet"}
    content = parquet()
    rows = [{"a": 1, "b": "x"}, {"a": 2, "b": None}]
    unreadable = content[:-20]
    ending = ".parquet"
