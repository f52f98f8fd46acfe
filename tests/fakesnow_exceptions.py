"""What fakesnow cannot do or does wrong, and why. What the server of the tests fixes is in tests/fakesnow_fixes.py.

`EXCEPTIONS` has every test of the conformance suite that fails there: a key is a test's name, for all its parameters,
or a name with the parameters of one case. `DBT_EXCEPTIONS` has the kinds of dbt's nodes that fail there; the others run
as in production. Each must fail, on fakesnow alone: the day it passes it goes from its list.
"""

EXCEPTIONS: dict[str, str] = {
    "test_a_load_whose_turn_another_has_begins_again_when_that_is_committed[fakesnow]": (
        "an UPDATE of what another transaction has changed does not wait: it is an HTTP 500"
    ),
    "test_rows_that_are_loaded_while_a_table_is_rebuilt_are_not_lost[fakesnow]": (
        "an UPDATE of what another transaction has changed does not wait: it is an HTTP 500"
    ),
    **{
        f"test_a_column_takes_the_wider_type_of_the_yaml_and_keeps_every_value[fakesnow-{way}-integer decimal(38,0)]": (
            "whole numbers over 64 bits come back wrong"
        )
        for way in ("altered", "copied")
    },
    **dict.fromkeys(
        (
            "test_descriptions_are_comments_in_the_warehouse_and_follow_the_yaml",
            "test_comments_take_no_statement_where_nothing_is_new_and_few_where_all_is",
        ),
        "ALTER TABLE of several columns' comments is a syntax error, and DESCRIBE TABLE knows no comment of a column",
    ),
}

DBT_EXCEPTIONS: dict[str, str] = {
    "unit_test": "dbt makes a temporary table under a qualified name, and DuckDB has those in a catalogue of their own",
}
