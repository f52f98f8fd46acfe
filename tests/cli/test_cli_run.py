"""`elt run`: what the run would refuse is refused before Airflow is started for it."""

from __future__ import annotations

import pytest
from cli_support import ORDERS, Project

NEW_YORK = "timezone: America/New_York\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--start", "2024-02-30", "--end", "2024-03-01"), 'invalid date or time "2024-02-30"'),
        (("--start", "0001-01-01", "--end", "2024-03-01"), "the year 1 is out of range: 1000 to 2999"),
        (("--start", "2024-03-01", "--end", "9999-12-31"), "the year 9999 is out of range: 1000 to 2999"),
        (("--start", "2024-03-01"), "use both --start and --end, or neither"),
        (("--start", "2024-03-02", "--end", "2024-03-01"), "is empty: its end must come after its start"),
        (("--start", "2024-03-10T02:30", "--end", "2024-03-11"), "does not exist in America/New_York"),
        (("--table", "order"), 'orders has no table "order"; did you mean "orders"?'),
    ],
)
def test_a_window_or_table_that_cannot_be_is_one_line_at_once(project: Project, arguments, message):
    project.write("orders", ORDERS + NEW_YORK)
    result = project.elt("run", "orders", *arguments)
    assert result.exit_code == 1
    assert message in " ".join(result.output.split())
    assert not (project.root / "logs").exists()
