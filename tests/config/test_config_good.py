"""Configs that are right: what they hold once they are read."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from pathlib import Path

import pytest
from config_support import DAG_CONFIGS, NORTH_STAR, SMALL, load_text, problems_of

from elt_factory.config.loading import load_config, load_folder
from elt_factory.config.models.schedule import Schedule
from elt_factory.config.models.source import TransformOnly
from elt_factory.config.models.values import Rate
from elt_factory.sources.files.model import FilesSource
from elt_factory.sources.rest_api.model import RestSource
from elt_factory.sources.sql.model import SqlSource

KINDS = {"departures": TransformOnly, "fleet": SqlSource, "flights": RestSource, "weather": FilesSource}


def test_every_config_of_the_project_loads():
    folder = load_folder(DAG_CONFIGS)
    assert not folder.errors
    assert {item.config.name: type(item.config) for item in folder.configs} == KINDS


def test_the_project_s_defaults_are_in_its_configs():
    config = load_config(DAG_CONFIGS / "fleet.yaml").config
    assert (config.owner, config.timezone, config.start_date) == ("data-platform", "America/New_York", date(2013, 1, 1))
    assert (config.retries.delay, config.retries.max_delay) == (timedelta(seconds=10), timedelta(minutes=5))


def test_the_design_s_example_needs_one_change(tmp_path: Path):
    # severity stands beside the rule, as in every check
    (problem,) = problems_of(tmp_path, NORTH_STAR)
    assert (problem.position.line, problem.code) == (32, "unknown-key")
    assert "severity" in problem.message


def test_the_design_s_example_loads(tmp_path: Path):
    text = NORTH_STAR.replace(
        "{within: 20%, of: trailing_7_runs, severity: warn}", "{within: 20%, of: trailing_7_runs}\n      severity: warn"
    )
    config = load_text(tmp_path, text).config
    assert isinstance(config, RestSource)
    table = config.tables["flights"]
    assert config.extract.rate_limit == Rate(500, 60)
    assert config.deadline
    assert config.deadline.by == time(6)
    assert table.takes_window
    assert table.incremental
    assert (table.incremental.lag, table.incremental.initial) == (timedelta(hours=1), datetime(2013, 1, 1))  # noqa: DTZ001
    assert table.columns["distance"].checks[0].kind == "between"
    assert [sensor.kind for sensor in config.sensors.before_transform] == ["freshness", "source"]
    assert config.quality["flights"][0].severity == "warn"
    assert config.quality["flights"][0].spec.within == 0.2
    assert config.alerts.to == ("slack_data",)
    assert (config.warehouse.load, config.warehouse.transform, config.warehouse.quality) == (
        "LOADING",
        "TRANSFORMING",
        None,
    )


def test_the_smallest_rest_source_is_short(tmp_path: Path):
    text = "name: a\nextract: {type: rest_api, connection: a_api}\ntables:\n  b: {path: /b}\n"
    config = load_text(tmp_path, text).config
    assert isinstance(config, RestSource)
    assert config.extract.paginator.type == "single_page"
    assert config.extract.timeout == timedelta(seconds=60)
    assert config.retries.delay == timedelta(minutes=1)
    assert not config.tables["b"].takes_window


def test_a_schedule_may_catch_up(tmp_path: Path):
    config = load_text(tmp_path, SMALL + 'schedule: "@daily"\ncatchup: true\nstart_date: 2024-02-29\n').config
    assert (str(config.schedule), config.catchup, config.start_date) == ("@daily", True, date(2024, 2, 29))


@pytest.mark.parametrize(
    "schedule",
    ["0 3 * * *", "*/15 6-22 * * mon-fri", "0 0 L * *", "0 0 1 JAN,JUL *", "@hourly", "@yearly", "@midnight"],
)
def test_cron_expressions(tmp_path: Path, schedule: str):
    assert load_text(tmp_path, f'{SMALL}schedule: "{schedule}"\n').config.schedule == Schedule(cron=[schedule])


@pytest.mark.parametrize("word", ["hourly", "daily", "midnight", "weekly", "monthly", "yearly", "annually"])
def test_a_schedule_without_its_sign_is_the_same(tmp_path: Path, word: str):
    assert str(load_text(tmp_path, f"{SMALL}schedule: {word}\n").config.schedule) == f"@{word}"


@pytest.mark.parametrize(
    "schedule", ["R 3 * * *", "r(0-10) 3 * * *", "0 R/5 * * *", "H 3 * * *", "@once", "", "dayly", "none"]
)
def test_schedules_that_nobody_could_count_on(tmp_path: Path, schedule: str):
    (problem,) = problems_of(tmp_path, f'{SMALL}schedule: "{schedule}"\n')
    assert problem.position.line == 6


def test_no_schedule_may_be_written(tmp_path: Path):
    assert load_text(tmp_path, f"{SMALL}schedule: null\n").config.schedule is None


def test_numbers_in_quotes_are_compared_as_numbers(tmp_path: Path):
    text = SMALL.replace("owners: {}", 'owners: {columns: {c: {checks: [{between: ["9", "10"]}]}}}')
    assert load_text(tmp_path, text).config.all_tables["owners"].columns["c"].checks[0].spec == ("9", "10")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2013-01-01", datetime(2013, 1, 1)),  # noqa: DTZ001
        ("2013-01-01T05:30:00", datetime(2013, 1, 1, 5, 30)),  # noqa: DTZ001
        ('"2013-01-01 05:30"', datetime(2013, 1, 1, 5, 30)),  # noqa: DTZ001
        ("2013-01-01T00:00:00Z", datetime.fromisoformat("2013-01-01T00:00:00+00:00")),
        ("2013-01-01T00:00:00.5+05:30", datetime.fromisoformat("2013-01-01T00:00:00.5+05:30")),
        ("0", 0),
        ("-7", -7),
    ],
)
def test_where_a_cursor_begins(tmp_path: Path, written: str, meant: object):
    text = SMALL.replace("owners: {}", f"owners: {{incremental: {{cursor: a, initial: {written}}}}}")
    incremental = load_text(tmp_path, text).config.all_tables["owners"].incremental
    assert incremental
    assert incremental.initial == meant
    assert type(incremental.initial) is type(meant)


@pytest.mark.parametrize("written", ['"5"', "true", "5.5", "2013-02-30", "2013", '"01/02/2013"', "[2013-01-01]"])
def test_where_no_cursor_begins(tmp_path: Path, written: str):
    text = SMALL.replace("owners: {}", f"owners: {{incremental: {{cursor: a, initial: {written}}}}}")
    if written == "2013":
        assert load_text(tmp_path, text)
    else:
        (problem,) = problems_of(tmp_path, text)
        assert problem.message.startswith("tables.owners.incremental.initial: ")


@pytest.mark.parametrize("path", ["a.csv", "%Y/%m/%d/%H.csv", "100%%/*.csv", "**/x_[0-9].ndjson", "a..b.csv", "..a/b"])
def test_file_patterns(tmp_path: Path, path: str):
    text = f"name: a\nextract: {{type: files, folder: in}}\ntables: {{t: {{path: '{path}'}}}}\n"
    config = load_text(tmp_path, text).config
    assert isinstance(config, FilesSource)
    assert config.tables["t"].path == path


@pytest.mark.parametrize("path", ["/a", "../a", "a/..", "a/../b", "C:/a", "\\\\host\\a", "..\\a", "%", "%y", "a%%%x"])
def test_file_patterns_that_are_refused(tmp_path: Path, path: str):
    text = f"name: a\nextract: {{type: files, folder: in}}\ntables: {{t: {{path: '{path}'}}}}\n"
    (problem,) = problems_of(tmp_path, text)
    assert problem.message.startswith("tables.t.path: ")


def test_a_config_is_frozen(tmp_path: Path):
    config = load_text(tmp_path, SMALL).config
    with pytest.raises(ValueError, match="frozen"):
        config.name = "other"


def test_one_virtual_warehouse_can_be_for_all_steps(tmp_path: Path):
    text = "name: s\nwarehouse: BIG\nextract: {type: files, connection: c}\ntables: {t: {path: x.csv}}\n"
    warehouse = load_text(tmp_path, text).config.warehouse
    assert (warehouse.load, warehouse.transform, warehouse.quality) == ("BIG", "BIG", "BIG")
