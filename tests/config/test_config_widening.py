import pytest

from elt_factory.config.models.values import ColumnType
from elt_factory.config.models.widening import holds, number_for

parse = ColumnType.parse
TYPES = (
    "text", "integer", "float", "decimal(38,9)", "decimal(19,0)", "decimal(18,2)", "boolean", "date", "time",
    "timestamp", "datetime", "json", "binary",
)  # fmt: skip


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [
        ("integer", "decimal(19,0)"),
        ("integer", "decimal(38,9)"),
        ("decimal(18,2)", "decimal(18,2)"),
        ("decimal(18,2)", "decimal(38,9)"),
        ("decimal(18,2)", "decimal(19,3)"),
        ("date", "datetime"),
        ("integer", "text"),
        ("decimal(18,2)", "text"),
        ("boolean", "text"),
        ("date", "text"),
        ("json", "text"),
    ],
)
def test_a_type_holds_all_values_of_a_narrower_one(narrow, wide):
    assert holds(parse(wide), parse(narrow))
    assert wide == narrow or not holds(parse(narrow), parse(wide))


@pytest.mark.parametrize(
    ("kind", "other"),
    [
        ("decimal(18,0)", "integer"),
        ("decimal(27,9)", "integer"),
        ("decimal(38,2)", "decimal(38,3)"),
        ("decimal(18,4)", "decimal(18,2)"),
        ("float", "integer"),
        ("float", "decimal(18,2)"),
        ("decimal(38,9)", "float"),
        ("timestamp", "datetime"),
        ("timestamp", "date"),
        ("text", "float"),
        ("text", "timestamp"),
        ("text", "binary"),
        ("json", "text"),
    ],
)
def test_a_type_that_would_lose_a_digit_a_zone_or_a_form_does_not_hold_the_other(kind, other):
    assert not holds(parse(kind), parse(other))


def test_of_two_types_at_most_one_holds_the_other():
    for one in TYPES:
        assert holds(parse(one), parse(one))
        for other in TYPES:
            assert one == other or not (holds(parse(one), parse(other)) and holds(parse(other), parse(one)))


def test_widening_in_steps_is_widening_at_once():
    for a, b, c in ((x, y, z) for x in TYPES for y in TYPES for z in TYPES):
        if holds(parse(b), parse(a)) and holds(parse(c), parse(b)):
            assert holds(parse(c), parse(a))


@pytest.mark.parametrize(
    ("kind", "whole", "scale", "wide"),
    [
        ("integer", 1, 1, "decimal(38,9)"),
        ("integer", 20, 0, "decimal(38,9)"),
        ("integer", 29, 9, "decimal(38,9)"),
        ("integer", 30, 0, "decimal(38,0)"),
        ("integer", 19, 12, "decimal(38,12)"),
        ("integer", 20, 19, None),
        ("integer", 39, 0, None),
        ("decimal(18,2)", 5, 3, "decimal(38,9)"),
        ("decimal(38,0)", 30, 1, None),
        ("decimal(38,9)", 3, 2, None),
        ("float", 3, 2, None),
    ],
)
def test_a_number_grows_to_the_decimal_that_holds_it(kind, whole, scale, wide):
    found = number_for(parse(kind), whole, scale)
    assert found == (parse(wide) if wide else None)
    assert found is None or holds(found, parse(kind))
