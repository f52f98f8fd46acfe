"""A number and its noun."""

import pytest

from elt_factory.core.amount import amount


@pytest.mark.parametrize(
    ("count", "words", "text"),
    [
        (0, ["row"], "0 rows"),
        (1, ["row"], "1 row"),
        (2_000, ["row"], "2,000 rows"),
        (1, ["row violates it", "rows violate it"], "1 row violates it"),
        (2, ["row violates it", "rows violate it"], "2 rows violate it"),
    ],
)
def test_the_noun_has_the_form_that_the_number_asks_for(count, words, text):
    assert amount(count, *words) == text
