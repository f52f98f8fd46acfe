"""Records in every shape that APIs put them into, each with the bytes it was sent with."""

from __future__ import annotations

import json

import pytest
from extract_support import Reply, reply, serving
from rest_support import records_of, request_of, source_of

from elt_factory.core.failures import BadDataError
from elt_factory.sources.read import read


def of(folder, records, body):
    answer = Reply(body) if isinstance(body, bytes) else reply(body)
    with serving(lambda _: answer) as server:
        return records_of(server, folder, f"x: {{path: /x, records: {records}}}", "x")


A, B, C = {"a": 1}, {"b": [2]}, {"c": None}


@pytest.mark.parametrize(
    ("records", "body", "found"),
    [
        ("'items[*].order'", {"items": [{"order": A}, {"order": B}]}, [A, B]),
        (
            "{path: 'items[*].order', optional: true}",
            {"items": [{"order": A}, None, {"order": B}, {"x": 1}, {"order": None}]},
            [A, B],
        ),
        ("'items[*].orders'", {"items": [{"orders": [A, B]}, {"orders": []}, {"orders": [C]}]}, [A, B, C]),
        ("'items[*].orders[*].line'", {"items": [{"orders": [{"line": A}]}, {"orders": [{"line": B}]}]}, [A, B]),
        ("'[*].order'", [{"order": A}, {"order": B}], [A, B]),
        ("'groups[*].rows'", {"groups": {"one": {"rows": [A]}, "two": {"rows": [B, C]}}}, [A, B, C]),
        ("'data[*]'", {"data": {"k1": A, "k2": B}}, [A, B]),
        (
            "{path: rates, key: day}",
            {"rates": {"2013-01-01": A, 'x"y': B}},
            [{"day": "2013-01-01", **A}, {"day": 'x"y', **B}],
        ),
        ("{path: rates, key: cur, value: rate}", {"rates": {"EUR": 1.5}}, [{"cur": "EUR", "rate": 1.5}]),
        ("{path: rates, key: day}", {"rates": []}, []),
        (
            "{path: 'bases[*].rates', key: day}",
            {"bases": [{"rates": {"d1": A, "d2": B}}, {"rates": []}, {"rates": {"d3": C}}]},
            [{"day": "d1", **A}, {"day": "d2", **B}, {"day": "d3", **C}],
        ),
        ("{path: 'rates[*]', key: day, value: rate}", {"rates": {"EUR": {"d1": 1.5}}}, [{"day": "d1", "rate": 1.5}]),
        ("{path: 'bases[*].rates', key: day, optional: true}", {"bases": [{"rates": None}, {}]}, []),
        ("{key: day}", {"d1": A}, [{"day": "d1", **A}]),
        (
            "{path: rows, columns: [a, b]}",
            {"rows": [[1, "x"], [2, {"y": 1}]]},
            [{"a": 1, "b": "x"}, {"a": 2, "b": {"y": 1}}],
        ),
        (
            "{path: d.rows, columns: d.cols}",
            {"d": {"cols": ["a", "b c"], "rows": [[1, None]]}},
            [{"a": 1, "b c": None}],
        ),
        ("{path: rows, columns: s.fields}", {"s": {"fields": [{"name": "a"}]}, "rows": [[1]]}, [{"a": 1}]),
        ("{columns: [a]}", [[1], [2]], [{"a": 1}, {"a": 2}]),
        ("{path: data, one: true}", {"data": A}, [A]),
        ("{path: data.items, optional: true}", {"data": None}, []),
        ("{path: data.items, optional: true}", {"data": {"items": None}}, []),
        ("{path: data.items, optional: true}", {"other": 1}, []),
        ("{path: data.items, optional: true}", {"data": {"items": [A]}}, [A]),
        ("{path: 'data[*].x', optional: true}", {"data": [{"y": 1}]}, []),
    ],
)
def test_records_are_found_in_every_shape(tmp_path, records, body, found):
    assert of(tmp_path, records, body) == found


@pytest.mark.parametrize(
    ("records", "body", "words"),
    [
        (
            "data",
            {"data": None},
            "holds null, which is not a list; if that means no records, write records: {path: ..., optional",
        ),
        ("data", {"dat": []}, 'no "data", it has the keys: dat; if that means no records'),
        ("data", {"data": A}, "which is not a list; for one record write {path: ..., one: true}"),
        ("'items[*].x'", {"items": 3}, "goes through 3, which is neither a list nor an object"),
        ("{path: rates, key: day}", {"rates": [A]}, "which is not an object with a record per key"),
        ("{path: 'b[*].rates', key: day}", {"b": [{"rates": [A]}]}, "which is not an object with a record per key"),
        (
            "{path: rates, key: a}",
            {"rates": {"d": A}},
            'the records have a field "a" themselves: rename it in records: key',
        ),
        ("{path: data, one: true}", {"data": [A]}, "which is not an object"),
        ("{path: rows, columns: cols}", {"rows": [[1]]}, '"cols" (columns) is not a list in the response'),
        ("{path: rows, columns: cols}", {"rows": [[1]], "cols": [{"x": 1}]}, "cannot read column names"),
    ],
)
def test_what_is_not_there_says_what_is_and_how_it_is_written(tmp_path, records, body, words):
    with pytest.raises(BadDataError) as caught:
        of(tmp_path, records, body)
    assert words in str(caught.value)


def test_numbers_keep_their_digits_in_every_shape(tmp_path):
    body = b'{"rows": [[12345678901234567890.123456789]], "by": {"k": {"n": 1e400}}}'
    for records, line in [
        ("{path: rows, columns: [n]}", b'{"n":12345678901234567890.123456789}\n'),
        ("{path: by, key: k}", b'{"k":"k","n": 1e400}\n'),
    ]:
        with serving(lambda _: Reply(body)) as server:
            source = source_of(tmp_path, f"x: {{path: /x, records: {records}}}")
            (file,) = read(request_of(server, tmp_path, source, "x")).files
        assert file.read_bytes() == line


def test_a_row_of_another_length_is_one_reject(tmp_path):
    assert of(tmp_path, "{path: rows, columns: [a, b]}", {"rows": [[1, 2], [3]]}) == [{"a": 1, "b": 2}, [3]]


def test_an_element_without_its_record_is_a_line_that_the_contract_rejects(tmp_path):
    body = {"items": [{"order": A}, {"x": 1}, None, {"order": None}, {"order": B}]}
    texts = [
        f'no "order" in {element}; if that means no records, write records: {{path: ..., optional: true}}'
        for element in ('{"x": 1}', "null", '{"order": null}')
    ]
    assert of(tmp_path, "'items[*].order'", body) == [*texts, A, B]
    body = {"items": [{"orders": [{"line": A}, {"l": 1}]}, {"o": 2}]}
    *lost, found = of(tmp_path, "'items[*].orders[*].line'", body)
    assert found == A
    assert [text.partition(";")[0] for text in lost] == ['no "orders" in {"o": 2}', 'no "line" in {"l": 1}']
    assert of(tmp_path, "'items[*]'", {"items": [A, None]}) == [A, None]


@pytest.mark.parametrize(
    "body",
    [
        {"message": "Not authorized"},
        {"code": 40001, "msg": "invalid credential"},
        {"errcode": 40001, "errmsg": "invalid credential"},
        {"fault": {"faultstring": "Invalid ApiKey"}},
        {"status": "error", "title": "denied"},
        {"errorMessage": "denied", "request": 17},
        {"faultcode": "Client", "faultstring": "Invalid ApiKey"},
    ],
)
def test_an_error_where_no_records_are_is_an_error_also_where_they_are_optional(tmp_path, body):
    for records in ("{path: items, optional: true}", "{path: 'items[*].order', optional: true}"):
        with pytest.raises(BadDataError, match="reports a failure"):
            of(tmp_path, records, body)


@pytest.mark.parametrize("said", [None, 0, "", "0", "ok", "OK", "success", False, [], {}])
@pytest.mark.parametrize("name", ["errmsg", "error_code", "errorMessage", "fault"])
def test_a_field_for_errors_that_holds_none_is_no_error(tmp_path, name, said):
    for body in ({"items": [], name: said}, {"items": None, name: said}):
        assert of(tmp_path, "{path: items, optional: true}", body) == []


@pytest.mark.parametrize("body", [{"note": "No orders today", "code": 0}, {"information": "none", "status": "ok"}])
def test_a_note_where_no_records_are_is_no_error(tmp_path, body):
    assert of(tmp_path, "{path: items, optional: true}", body) == []


def test_words_next_to_a_list_without_records_are_no_error(tmp_path):
    body = {"items": None, "message": "no orders in this period"}
    assert of(tmp_path, "{path: items, optional: true}", body) == []


def test_an_error_in_a_200_is_an_error_in_every_shape(tmp_path):
    body = {"ok": False, "error": "no", "items": []}
    for records in ("'items[*].order'", "{path: items, optional: true}", "{path: items, key: k}"):
        with pytest.raises(BadDataError, match="reports a failure"):
            of(tmp_path, records, json.loads(json.dumps(body)))


def test_rows_that_are_lists_may_be_in_several_groups(tmp_path):
    body = {"groups": {"a": {"rows": [[1, "x"], [2, "y"]]}, "b": {"rows": [[3, "z"]]}}}
    found = of(tmp_path, "{path: 'groups[*].rows', columns: [id, name]}", body)
    assert found == [{"id": 1, "name": "x"}, {"id": 2, "name": "y"}, {"id": 3, "name": "z"}]


def test_a_number_in_a_path_is_a_place_in_a_list_and_one_that_is_not_there_is_no_value(tmp_path):
    sent = [{"values": [{"value": "a"}, {"value": 2}], "0": "x"}, {"values": []}, {"values": {"1": {"value": 3}}}]
    flatten = "{first: values.0.value, second: values.1.value, third: values.2.value}"
    with serving(lambda _: reply(sent)) as server:
        found = records_of(server, tmp_path, f"x: {{path: /x, flatten: {flatten}}}", "x")
    own = [{name: row[name] for name in ("first", "second", "third") if name in row} for row in found]
    assert own == [{"first": "a", "second": 2}, {}, {"second": 3}]


@pytest.mark.parametrize(
    "flatten", ["[customer.email, customer.address.city, 'a\\.b.c']", "{customer_email: customer.email}"]
)
def test_values_inside_others_become_columns_and_keep_their_bytes(tmp_path, flatten):
    first = b'{"id":1,"customer":{"email":"a@b.c","address":{"city":1.50}},"a.b":{"c":[1, 2]}}'
    body = b"[" + first + b',{"customer":null},{"id":3}, 4]'
    with serving(lambda _: Reply(body)) as server:
        source = source_of(tmp_path, f"x: {{path: /x, flatten: {flatten}}}")
        (file,) = read(request_of(server, tmp_path, source, "x")).files
    found, *rest = file.read_bytes().splitlines()
    fields = b'{"customer_email":"a@b.c",'
    if "city" in flatten:
        fields += b'"customer_address_city":1.50,"a.b_c":[1, 2],'
    assert found == fields + first[1:]
    assert rest == [b'{"customer":null}', b'{"id":3}', b"4"]


def test_a_value_that_would_take_the_place_of_a_field_is_an_error(tmp_path):
    with serving(lambda _: reply([{"a": {"b": 1}, "a_b": 2}])) as server:
        with pytest.raises(BadDataError, match='have a field "a_b" themselves: rename it in flatten'):
            records_of(server, tmp_path, "x: {path: /x, flatten: [a.b]}", "x")
        assert records_of(server, tmp_path, "x: {path: /x, flatten: {c: a.b}}", "x") == [
            {"c": 1, "a": {"b": 1}, "a_b": 2}
        ]
