"""JSON documents are read as streams: each record as it is written, counted, and the document never in memory."""

import json
import random
import subprocess
import sys

import pytest

from elt_factory.core.failures import BadDataError
from elt_factory.formats import json_stream
from elt_factory.testing.formats import FormatSuite


class TestJson(FormatSuite):
    form = {"type": "json", "records": "data.items"}
    content = b"""\xef\xbb\xbf{"page": {"items": [0]}, "data": {"count": 3, "items": [
      {"a": 1.10, "b": "x,\\n]", "c": [{"d": "}"}]},
      5,
      {"a": 12345678901234567890.5, "b": null, "c": []}
    ], "next": null}, "more": [1, {}]}
    """
    columns = {"a": {"type": "decimal(38,2)"}}
    rows = []
    rejected = 1
    unreadable = b'{"data": {"items": [{"a": 1}, {"a":'
    ending = ".json"
    sample = b'{"items": [{"a": 1, "b": "x", "c": {"d": 1}}]}'


def json_rows():
    from decimal import Decimal

    return [
        {"a": Decimal("1.10"), "b": "x,\n]", "c": '[{"d":"}"}]'},
        {"a": Decimal("12345678901234567890.50"), "b": None, "c": "[]"},
    ]


TestJson.rows = json_rows()


class TestJsonLists(FormatSuite):
    form = {"type": "json"}
    content = b'[{"a": 1}, [2], {"a": 3}]'
    rows = [{"a": 1}, {"a": 3}]
    rejected = 1
    unreadable = b'[{"a": 1} {"a": 2}]'
    ending = ".json"
    sample = b'[{"a": 1}]'


def read(tmp_path, text, path=(), chunk=None, monkeypatch=None):
    if chunk:
        monkeypatch.setattr(json_stream, "_CHUNK", chunk)
    file = tmp_path / "x.json"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(json_stream.records(file, "x.json", path))


@pytest.mark.parametrize(
    ("text", "records"),
    [
        ("[]", []),
        ("{}", ["{}"]),
        ('{"a": 1}\n{"a": 2}', ['{"a": 1}', '{"a": 2}']),
        ('[{"a": 1}]\n[{"a": 2}]', ['{"a": 1}', '{"a": 2}']),
        ('[{"a":\n 1.50e+3}]', ['{"a":  1.50e+3}']),
        ("[1.5, -2, true, null]", ["1.5", "-2", "true", "null"]),
    ],
)
def test_a_document_is_its_records_as_they_are_written(tmp_path, text, records):
    assert read(tmp_path, text) == records


@pytest.mark.parametrize("chunk", range(1, 12))
def test_where_a_document_is_cut_into_pieces_changes_nothing(tmp_path, monkeypatch, chunk):
    values = [{"n": 12.5, "t": 'a"\\ü]', "e": -1e-7}, 12, 1e25, "☃", [True, None, {"x": []}]]
    text = json.dumps({"head": [1, {"items": 0}], "items": values, "tail": "x"}, ensure_ascii=False, indent=1)
    found = read(tmp_path, text, ["items"], chunk, monkeypatch)
    assert [json.loads(record) for record in found] == values


def test_random_documents_are_read_as_the_json_module_reads_them(tmp_path, monkeypatch):
    chance = random.Random(5)

    def value(depth):
        kinds = [None, True, chance.randint(-(10**9), 10**9), chance.random(), chance.choice(['a"', "\\", "é\n", "]}"])]
        if depth < 4:
            kinds += [[value(depth + 1) for _ in range(chance.randint(0, 3))]]
            kinds += [{chance.choice('abc"]'): value(depth + 1) for _ in range(chance.randint(0, 3))}]
        return chance.choice(kinds)

    for round_number in range(300):
        values = [value(0) for _ in range(chance.randint(0, 8))]
        text = json.dumps({"k": value(0), "x": {"y": values}, "z": value(0)}, indent=chance.choice([None, 2]))
        found = read(tmp_path, text, ["x", "y"], chance.randint(1, 40), monkeypatch)
        assert [json.loads(record) for record in found] == values, round_number


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ('{"a": [1]}', ["b"], "line 1: no key b; set format.records"),
        ('{"a": {"b": 1}}', ["a", "c"], "line 1: no key a.c; set format.records"),
        ('[{"a": [1]}]', ["a"], "line 1: no key a"),
        ('[\n{"a": 1},\n{"a": }]', [], "line 3: not JSON: Expecting value"),
        ('[\n{"a": 1}\n{"a": 2}]', [], r"line 3: expected \], got {"),
        ('[\n{"a": 1},\n{"a": "x', [], "line 3: not JSON: Unterminated string|line 3: the document ends within"),
        ('[{"a": 1}', [], r"the document ends before \]"),
        ('[{"a": 1}]]', [], "not JSON"),
        ('{"x": 1 "r": [{"a": 1}]}', ["r"], 'line 1: expected a comma, got "'),
        ('{"x": 1,, "r": [{"a": 1}]}', ["r"], "line 1: expected a key in quotes, got ,"),
        ('{"x": 1, }', ["r"], "line 1: expected a key in quotes, got }"),
        ('{"x" 1, "r": [{"a": 1}]}', ["r"], "line 1: expected a colon, got 1"),
        ('{"x": 1; "r": [{"a": 1}]}', ["r"], "line 1: expected a comma, got ;"),
        ('{x: 1, "r": [{"a": 1}]}', ["r"], "line 1: expected a key in quotes, got x"),
        ('{"x": 1', ["r"], "the document ends before a comma"),
        ('{"r": [{"a": 1}],}', ["r"], "line 1: expected a key in quotes, got }"),
        ('{"r": [{"a": 1}],, "x": 1}', ["r"], "line 1: expected a key in quotes, got ,"),
        ('{"r": [{"a": 1}] "x": 1}', ["r"], 'line 1: expected }, got "'),
        ('{"r": [{"a": 1},, {"a": 2}]}', ["r"], "line 1: not JSON: Expecting value"),
        ('{"r": [{"a": 1},]}', ["r"], "line 1: not JSON: Expecting value"),
        ('{"r": [{"a": 1}], 5}', ["r"], "line 1: expected a key in quotes, got 5"),
        ('{"a": [{"b": 1}]} {"a": []}', ["a"], "another document follows"),
        (b'[{"a": "caf\xe9"}]', [], "line 1: the text is not UTF-8"),
        ("[" * 100_000, [], "nested too deep|not JSON|ends"),
    ],
)
def test_a_document_that_is_not_whole_says_where(tmp_path, text, path, message):
    with pytest.raises(BadDataError, match=f"x.json {message}" if message.startswith("line") else message):
        read(tmp_path, text, path)


@pytest.mark.services
def test_a_document_that_is_ten_times_as_long_takes_no_more_memory(tmp_path):
    """Peak memory of a process of its own that reads 4 and 40 MB."""
    program = (
        "import sys; from pathlib import Path; from elt_factory.formats.json_stream import records; "
        "n = sum(1 for _ in records(Path(sys.argv[1]), 'x', ['items'])); "
        "print(n, Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    )
    peaks = []
    for rows in (40_000, 400_000):
        file = tmp_path / f"{rows}.json"
        record = json.dumps({"id": 1, "text": "x" * 80})
        file.write_text('{"items": [' + ",\n".join([record] * rows) + "]}")
        out = subprocess.run([sys.executable, "-c", program, str(file)], check=True, capture_output=True, text=True)
        count, peak = map(int, out.stdout.split())
        assert count == rows
        peaks.append(peak)
    assert peaks[1] < 1.2 * peaks[0]


@pytest.mark.parametrize(
    ("content", "key"),
    [
        (b'{"data": {"items": [{"a": 1}], "items": [{"a": 2}]}}', "data.items"),
        (b'{"data": {"items": [{"a": 1}]}, "x": 1, "data": {"items": [{"a": 2}]}}', "data"),
    ],
)
def test_a_key_on_the_way_to_the_records_that_is_repeated_is_an_error(tmp_path, content, key):
    file = tmp_path / "a.json"
    file.write_bytes(content)
    with pytest.raises(BadDataError, match=rf"a\.json line 1: the key {key} is repeated, and so are its records"):
        list(json_stream.records(file, "a.json", ["data", "items"]))


def test_a_key_that_is_repeated_elsewhere_is_none_of_the_records(tmp_path):
    file = tmp_path / "a.json"
    file.write_bytes(b'{"items": 1, "data": {"data": 2, "items": [{"a": 1}], "x": {"items": 3}}, "y": {"data": 4}}')
    assert list(json_stream.records(file, "a.json", ["data", "items"])) == ['{"a": 1}']
