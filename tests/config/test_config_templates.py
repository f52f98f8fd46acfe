"""Templates: the names and filters there are, and what they become."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elt_factory.config.errors import MistakeError
from elt_factory.config.models.templates import (
    Use,
    check_query,
    check_template,
    query_parts,
    refuse_template,
    render,
    uses,
)
from elt_factory.core.window import iso_utc

VALUES = {
    "window.start": datetime(2013, 1, 31, 3, tzinfo=UTC),
    "window.end": datetime(2013, 2, 1, 3, 0, 0, 500_000, tzinfo=UTC),
    "cursor": datetime(2013, 1, 31, 2, tzinfo=UTC),
    "load_id": "20130131T030000Z-x",
    "run_id": "manual__1",
    "params.region": "EMEA",
    "params.seats": 4,
    "params.share": 0.5,
    "params.all": True,
}


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("", ""),
        ("/v1/flights", "/v1/flights"),
        ("{{ window.start }}", "2013-01-31T03:00:00Z"),
        ("{{window.end}}", "2013-02-01T03:00:00.500000Z"),
        ("{{ window.start | date }}", "2013-01-30"),
        ("{{window.start|epoch}}", "1359601200"),
        ("{{ window.end | epoch }}", "1359687600"),
        ("a/{{ load_id }}/b", "a/20130131T030000Z-x/b"),
        ("{{ window.start | date }}..{{ window.end | date }}", "2013-01-30..2013-01-31"),
        ("{{ cursor }}", "2013-01-31T02:00:00Z"),
        ("{{ cursor | date }}", "2013-01-30"),
        ("{{ run_id }}", "manual__1"),
        ("{{ params.region }}-{{ params.seats }}", "EMEA-4"),
        ("{{ params.share }} {{ params.all }}", "0.5 true"),
        ("{ not } a {template}", "{ not } a {template}"),
        ("{{ \n window.start \n }}", "2013-01-31T03:00:00Z"),
    ],
)
def test_templates(text: str, rendered: str):
    assert render(check_template(text), VALUES, "America/New_York") == rendered


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ window.strat }}", 'did you mean "window.start"'),
        ("{{ data_interval_end }}", 'did you mean "window.end"'),
        ("{{ loadid }}", 'did you mean "load_id"'),
        ("{{ window.start | isoformat }}", "use one of: date, epoch"),
        ("{{ window.start | dat }}", 'did you mean "date"'),
        ("{{ window.start | date | epoch }}", "unknown template filter"),
        ("{{ load_id | date }}", "applies only to window.start, window.end, cursor"),
        ("{{ params.region | date }}", "applies only to window.start, window.end, cursor"),
        ("{{ params }}", "use one of: cursor, load_id, run_id, window.end, window.start, params.NAME"),
        ("{{ params.Region }}", 'did you mean "params.region"'),
        ("{{ parms.region }}", 'did you mean "params.region"'),
        ("{{ params.a.b }}", "unknown template name"),
        ("{{ cursor.value }}", 'did you mean "cursor"'),
        ("{{ dag_run.run_id }}", 'did you mean "run_id"'),
        ("{{ }}", "unknown template name"),
        ("{{ window.start", "unclosed template"),
        ("window.start }}", "unclosed template"),
        ("{{ window.start }", "unclosed template"),
        ("{{ window.__class__ }}", "unknown template name"),
        ("{{ window.start }} {{ env.SECRET }}", 'unknown template name "env.SECRET"'),
    ],
)
def test_no_templates(text: str, message: str):
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        check_template(text)


@given(st.text())
def test_text_without_braces_is_no_template(text: str):
    plain = text.replace("{", "").replace("}", "")
    assert render(check_template(plain), VALUES) == plain
    assert not list(uses(plain))


@given(st.text(alphabet="{} |.windowstartload_idcur\n"))
def test_what_passes_can_be_rendered(text: str):
    try:
        check_template(text)
    except ValueError:
        return
    assert "{{" not in render(text, VALUES)


def test_a_value_is_made_harmless_where_it_is_put():
    assert render("/a/{{ params.region }}/b", VALUES, safe=str.lower) == "/a/emea/b"


def test_a_query_is_its_pieces_and_the_values_between_them():
    query = "select '{{1,2}}' from a where b > {{ window.start|date }}\nand c = {{ params.region }}"
    assert list(query_parts(check_query(query))) == [
        "select '{{1,2}}' from a where b > ",
        Use("window.start", "date"),
        "\nand c = ",
        Use("params.region", ""),
        "",
    ]


@pytest.mark.parametrize(
    "query",
    [
        "select '{{ window.start }}'",
        "select 'it''s {{ window.start }}'",
        'select "{{ params.column }}" from a',
        "select 1 -- {{ window.start }}",
        "select 1 /* {{ window.start }} */",
        r"select 'it\'s', {{ window.start }}, '",
        "select $x$ ' $x$, {{ window.start }}",
        "select 'a {{ params.region }}",
        "select {{ window.begin }}",
        "select {{ window.start | isoformat }}",
    ],
)
def test_a_query_whose_values_would_be_text_is_refused(query: str):
    with pytest.raises(MistakeError):
        check_query(query)


@pytest.mark.parametrize(
    "query", ["select '{{1, 2}, {3, 4}}'", "select 'a' -- it's", "select 'it''s', {{ load_id }} || '%'", "select '$$'"]
)
def test_a_query_is_left_as_it_is(query: str):
    assert check_query(query) == query


def test_moments_are_written_in_utc():
    assert iso_utc(datetime.fromisoformat("2013-01-31T00:00:00-05:00")) == "2013-01-31T05:00:00Z"


@pytest.mark.parametrize(
    "text", ["{{ window.start }}", "x={{ds}}", "{{ ds | date }}", "{{- params.x -}}", "{{ run_id}}", "{{cursor}}"]
)
def test_templates_are_refused_in_text_that_is_taken_as_it_is(text: str):
    with pytest.raises(MistakeError):
        refuse_template(text)


@pytest.mark.parametrize("text", ["{{1, 2}, {3, 4}}", "{{a,b}}", '{"a": {"b": {}}}', "{{", "}}", "{ {a} }"])
def test_braces_that_are_no_templates_stay(text: str):
    assert refuse_template(text) == text
