"""Which column of which table a column of a model comes from, also through the stars that dbt's models begin with."""

import pytest

from elt_factory.dag.dbt_columns import complete, origins_of


def told(sql: str) -> dict[str, list[str]]:
    return {
        column: [".".join([*filter(None, origin.table), origin.column]) for origin in origins]
        for column, origins in origins_of(sql, "duckdb").items()
    }


@pytest.mark.parametrize(
    ("sql", "columns"),
    [
        # what OpenLineage's parser alone calls a column of "a"
        (
            'with a as (select * from "w"."s"."a") select x.id, x.n as m from a as x',
            {"id": ["w.s.a.id"], "m": ["w.s.a.n"]},
        ),
        (
            (
                "with a as (select * from w.s.a), b as (select k, v from w.s.b), f as "
                "(select a.id, sum(b.v) as total from a join b on a.id = b.k group by 1) select * from f"
            ),
            {"id": ["w.s.a.id"], "total": ["w.s.b.v"]},
        ),
        # parentheses in texts and comments, and what is not materialized
        (
            (
                "with a as (select ')' as t, id from w.s.a /* ( */), -- x (\n"
                "b as not materialized (select id from a union all select id from w.s.c) select id from b"
            ),
            {"id": ["w.s.a.id", "w.s.c.id"]},
        ),
        (
            "with x as (select a, b from w.s.t), y as (select *, a + b as c from x) select * from y",
            {"a": ["w.s.t.a"], "b": ["w.s.t.b"], "c": ["w.s.t.a", "w.s.t.b"]},
        ),
        # what is not said is not guessed
        ("select * from w.s.a", {}),
        ("with recursive r(n) as (select 1 union all select n + 1 from r) select n from r", {}),
        ("broken ((", {}),
        ("", {}),
    ],
)
def test_a_column_is_followed_through_the_ctes_of_a_model(sql, columns):
    found = {name: origins for name, origins in told(sql).items() if origins != [f"r.{name}"]}
    assert found == columns


def test_a_backslash_hides_a_quote_in_a_text_of_snowflake_alone():
    sql = r"with a as (select '\'' as t, id from w.s.a), b as (select id, ')' as u from a) select id from b"
    found = origins_of(sql, "snowflake")
    assert [(origin.table, origin.column) for origin in found["id"]] == [(("w", "s", "a"), "id")]
    # elsewhere it is a character as others are
    assert told(r"with a as (select '\' as t, id from w.s.a), b as (select ')' as u, id from a) select id from b") == {
        "id": ["w.s.a.id"]
    }


def test_what_openlineage_says_of_tables_itself_stays_where_nothing_else_is_found():
    from types import SimpleNamespace

    from elt_factory.dag.dbt_columns import _complete

    def after(name: str) -> set[str]:
        field = SimpleNamespace(inputFields=[SimpleNamespace(name=name)])
        output = SimpleNamespace(namespace="n", facets={"columnLineage": SimpleNamespace(fields={"id": field})})
        _complete(output, [SimpleNamespace(name="w.s.a")], SimpleNamespace(query="broken ((", dialect="duckdb"))
        return {*output.facets}

    assert after("W.s.a") == {"columnLineage"}
    assert after("a_cte") == set()


def test_the_event_of_a_model_names_the_tables_that_it_reads_and_no_cte():
    """As OpenLineage's own processor of dbt makes it, which names the CTE."""
    from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent
    from openlineage.client.facet_v2 import column_lineage_dataset as lineage
    from openlineage.client.facet_v2 import sql_job

    sql = "with recursive a as (select * from W.s.a), r as (select n from q) select a.id, r.n from a, r"
    wrong = lineage.ColumnLineageDatasetFacet({"id": lineage.Fields([lineage.InputField("duckdb://w", "a", "id")])})
    output = OutputDataset("duckdb://w", "w.main.m", facets={"columnLineage": wrong})
    job = Job("elt", "m", facets={"sql": sql_job.SQLJobFacet(query=sql, dialect="duckdb")})
    run = Run("01890a5d-ac96-774b-bcce-b302099a8057")
    inputs = [InputDataset("duckdb://w", "w.s.a")]
    moment = "2026-01-01T00:00:00Z"
    complete([RunEvent(eventTime=moment, producer="elt", run=run, job=job, inputs=inputs, outputs=[output])])
    fields = output.facets["columnLineage"].fields
    found = {name: [(one.name, one.field) for one in field.inputFields] for name, field in fields.items()}
    assert found == {"id": [("w.s.a", "id")]}


def test_a_chain_of_many_ctes_is_followed_in_time():
    steps = ", ".join(f"c{number} as (select a + b as a, b + a as b from c{number - 1})" for number in range(1, 40))
    sql = f"with c0 as (select * from w.s.t), {steps} select a from c39"
    assert told(sql) == {"a": ["w.s.t.a", "w.s.t.b"]}
