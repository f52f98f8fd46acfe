"""What a real Airflow's database had after one of its parts was killed, read and judged again.

Recorded from an Airflow 3.3 with a LocalExecutor on SQLite: `task` is the process of a task, `worker` that and the one
that looks after it. Of each table there are the columns that are read, and the rows of one DAG.
"""

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from facts_support import healthy
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from elt_factory.diagnosis.airflow_facts import read_airflow
from elt_factory.diagnosis.verdicts import diagnose

RECORDED = Path(__file__).parent / "recorded" / "killed_parts.json"


@pytest.mark.parametrize(
    ("killed", "verdict", "evidence"),
    [
        ("task", "worker-killed", "run manual__"),
        ("worker", "worker-killed", "run manual__"),
        ("triggerer", "triggerer-down", "its last sign of life was "),
        ("scheduler", "scheduler-down", "its last sign of life was "),
    ],
)
def test_a_part_that_was_killed_is_the_verdict(killed, verdict, evidence):
    recorded = json.loads(RECORDED.read_text())[killed]
    found = diagnosed(recorded)
    assert found.code == verdict
    assert found.evidence[0].startswith(evidence)


def test_a_part_of_a_table_that_was_killed_is_the_verdict_although_others_are_done():
    recorded = json.loads(RECORDED.read_text())["task"]
    columns, rows = recorded["tables"]["task_instance"]
    task, index, state = (columns.index(name) for name in ("task_id", "map_index", "state"))
    (extract,) = [row for row in rows if row[task].endswith(".extract")]
    rows.remove(extract)
    for number in range(3):
        part = list(extract)
        part[index], part[state] = number, extract[state] if number == 1 else "success"
        rows.append(part)
    assert diagnosed(recorded, index=1).code == "worker-killed"


def diagnosed(recorded, index: int = -1):
    """The verdict on what was recorded; the notes are those of the task with this number, -1 for one without parts."""
    engine = create_engine("sqlite://")
    with Session(engine) as session:
        for table, (columns, rows) in recorded["tables"].items():
            session.execute(text(f"CREATE TABLE {table} ({', '.join(columns)})"))
            for row in rows:
                values = ", ".join(f":{name}" for name in columns)
                session.execute(text(f"INSERT INTO {table} VALUES ({values})"), dict(zip(columns, row, strict=True)))
            if table in ("log", "task_state_store"):
                session.execute(text(f"ALTER TABLE {table} ADD COLUMN map_index DEFAULT {index}"))
        airflow = read_airflow(session, ["orders"])["orders"]
    facts = replace(healthy(datetime.fromisoformat(recorded["now"])), airflow=airflow, loads=(), last=None, readers=())
    return diagnose(facts)
