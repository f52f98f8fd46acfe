"""Commands find the project's own Airflow: its home is named before Airflow is imported."""

from __future__ import annotations

import pytest
from cli_support import ORDERS, Project, python

pytestmark = pytest.mark.live

LOOK = """
import sys
from elt_factory.cli import local, main

def home_is_named():
    sys.exit("Airflow is imported already" if "airflow" in sys.modules else "in time")

local.ensure_local_airflow = home_is_named
sys.argv = ["elt", *sys.argv[1:]]
main.main()
"""


@pytest.mark.parametrize(
    "command",
    [
        "maintenance report",
        "maintenance run",
        "maintenance remove gone --yes",
        "maintenance compact",
        "validate --connections",
        "validate --live",
        "status",
    ],
)
def test_airflow_is_imported_only_after_its_home_is_named(project: Project, command: str):
    project.write("orders", ORDERS)
    assert python("-c", LOOK, *command.split(), cwd=project.root).stderr.strip() == "in time"
