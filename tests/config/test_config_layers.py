"""What a config is made of: defaults of all folders above, variables, environments; each value knows its place."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from config_support import SMALL, load_text

from elt_factory.config.errors import ConfigError, Problem
from elt_factory.config.loading import LoadedConfig, load_config, load_folder
from elt_factory.config.yaml.source import read_yaml

ENVIRONMENTS = """\
schedule: "0 3 * * *"
tags: [a, b]
deadline: {by: "06:00"}
environments:
  prod:
    extract: {connection: fleet_prod}
    tags: [c]
    deadline: {by: null, within: 2h}
    tables: {owners: {business_date: sold}}
  test: {schedule: null}
"""


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ELT_ENVIRONMENT", raising=False)


@pytest.fixture
def configs(tmp_path: Path) -> Path:
    folder = tmp_path / "dag_configs"
    (folder / "team" / "fleet").mkdir(parents=True)
    (tmp_path / "_defaults.yaml").write_text("description: too far above\n")
    (folder / "_defaults.yaml").write_text("owner: all\nretries: {count: 5, delay: 5s}\ntags: [all]\ntimezone: UTC\n")
    (folder / "team" / "fleet" / "_defaults.yaml").write_text("# near\nowner: fleet\nretries: {delay: 9s}\n")
    return folder


def problems_of(folder: Path, text: str) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as caught:
        load_text(folder, text)
    return caught.value.problems


def place(item: LoadedConfig, *path: str | int) -> str:
    position = item.source.written_at(path)
    return f"{position.file.parent.name}/{position.file.name}:{position.line}:{position.column}" if position else ""


def test_the_nearest_defaults_win_and_farther_ones_fill_in(configs: Path):
    config = load_text(configs / "team" / "fleet", SMALL + "retries: {max_delay: 1h}\n").config
    assert (config.owner, config.timezone, config.tags, config.description) == ("fleet", "UTC", ("all",), "")
    retries = config.retries
    assert (retries.count, retries.delay, retries.max_delay) == (5, timedelta(seconds=9), timedelta(hours=1))


def test_a_folder_without_defaults_passes_on_those_above(configs: Path):
    assert load_text(configs / "team", SMALL).config.owner == "all"


def test_defaults_are_found_from_a_relative_path(configs: Path, monkeypatch: pytest.MonkeyPatch):
    (configs / "team" / "a.yaml").write_text(SMALL)
    monkeypatch.chdir(configs / "team")
    assert load_config(Path("a.yaml")).config.owner == "all"


def test_a_folder_of_another_name_is_searched_when_it_is_given(tmp_path: Path):
    (tmp_path / "_defaults.yaml").write_text("owner: all\n")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "a.yaml").write_text(SMALL)
    assert load_config(tmp_path / "below" / "a.yaml").config.owner == "airflow"
    assert load_config(tmp_path / "below" / "a.yaml", tmp_path).config.owner == "all"
    assert [item.config.owner for item in load_folder(tmp_path).configs] == ["all"]


def test_every_value_knows_where_it_comes_from(configs: Path):
    item = load_text(configs / "team" / "fleet", SMALL + "retries: {max_delay: 1h}\n")
    assert place(item, "name") == "fleet/a.yaml:1:1"
    assert place(item, "owner") == "fleet/_defaults.yaml:2:1"
    assert place(item, "timezone") == "dag_configs/_defaults.yaml:4:1"
    assert place(item, "retries", "count") == "dag_configs/_defaults.yaml:2:11"
    assert place(item, "retries", "delay") == "fleet/_defaults.yaml:3:11"
    assert place(item, "retries", "max_delay") == "fleet/a.yaml:6:11"
    assert place(item, "tags", 0) == "dag_configs/_defaults.yaml:3:8"
    assert place(item, "catchup") == ""


@pytest.mark.parametrize("written", ["[]", "[x]"])
def test_what_is_replaced_leaves_no_places_behind(configs: Path, written: str):
    (configs / "_defaults.yaml").write_text("tags: [a, b, c]\nowner: us\n")
    assert ("tags", 2) in load_text(configs, SMALL).source.values
    source = load_text(configs, f"{SMALL}tags: {written}\n").source
    places = {source.values[path].file.name for path in source.values if path[:1] == ("tags",)}
    assert places == {"a.yaml"}
    assert source.at(("owner",)).file.name == "_defaults.yaml"


def test_defaults_that_change_are_read_again(configs: Path):
    for owner in ("us", "eu", "us"):
        (configs / "_defaults.yaml").write_text(f"owner: {owner}\n")
        assert load_text(configs, SMALL).config.owner == owner


def test_a_default_that_is_no_default_is_told_in_the_far_folder(configs: Path):
    (configs / "_defaults.yaml").write_text("owner: us\nname: all\n")
    (problem,) = problems_of(configs / "team" / "fleet", SMALL)
    assert (problem.position.file, problem.position.line) == (configs / "_defaults.yaml", 2)


@pytest.mark.parametrize(
    ("written", "value", "meant"),
    [
        ("${V}", "text", "text"),
        ("${V}", "5", 5),
        ("${V}", "1.5", 1.5),
        ("${V}", "true", True),
        ("${V}", "null", None),
        ("${V}", "", None),
        ("${V}", "no", "no"),
        ("${V}", "012", "012"),
        ("${V}", "[1]", "[1]"),
        ("${V}", "${W}", "${W}"),
        ('"${V}"', "5", "5"),
        ("'${V}'", "true", "true"),
        ("${V}${V}", "5", "55"),
        ("a${V}b", "5", "a5b"),
        ("${W:-7}", "", 7),
        ("${W:-}", "", None),
        ('"${W:-}"', "", ""),
        ("${W:-a b/c:d}", "", "a b/c:d"),
        ("${V:-7}", "8", 8),
        ("${V:-7}", "", 7),
        ("$${V}", "5", "${V}"),
        ("$$${V}", "5", "$${V}"),
        ("a $${b} ${V}", "5", "a ${b} 5"),
        ("$V $", "5", "$V $"),
        ("# ${W}", "", None),
    ],
)
def test_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str, value: str, meant: object):
    monkeypatch.setenv("V", value)
    monkeypatch.delenv("W", raising=False)
    (tmp_path / "a.yaml").write_text(f"a: {written}\n")
    data = read_yaml(tmp_path / "a.yaml").data
    assert data == {"a": meant}
    assert type(data["a"]) is type(meant)


def test_variables_in_defaults_are_those_of_now(configs: Path, monkeypatch: pytest.MonkeyPatch):
    (configs / "_defaults.yaml").write_text("owner: ${V}\n")
    for owner in ("us", "eu"):
        monkeypatch.setenv("V", owner)
        assert load_text(configs, SMALL).config.owner == owner


def test_a_misspelt_variable_is_told_with_its_near_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FLEET_OWNER_NAME", "us")
    (problem,) = problems_of(tmp_path, SMALL + "owner: ${FLEET_OWNR_NAME}\n")
    assert 'did you mean "FLEET_OWNER_NAME"?' in problem.hint


def test_names_of_secrets_are_never_suggested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FLEET_DB_TOKEN", "hidden")
    (problem,) = problems_of(tmp_path, SMALL + "owner: ${FLEET_DB_TOKE}\n")
    assert "FLEET_DB_TOKEN" not in problem.hint


@pytest.mark.parametrize("name", ["PASSWORD", "db_password", "A_TOKEN", "CLIENT_SECRET", "APIKEY", "X_KEY2", "DB_PWD"])
def test_secrets_are_refused_even_with_a_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    monkeypatch.setenv(name, "hidden")
    (problem,) = problems_of(tmp_path, f"{SMALL}owner: ${{{name}:-x}}\n")
    assert (problem.code, problem.position.line) == ("secret", 6)
    assert "Airflow connection" in problem.hint
    assert "hidden" not in problem.render()


@pytest.mark.parametrize("name", ["KEYBOARD", "TOKENS_A_DAY", "PWD", "REGION"])
def test_names_that_are_no_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    monkeypatch.setenv(name, "us")
    assert load_text(tmp_path, f"{SMALL}owner: ${{{name}}}\n").config.owner == "us"


def test_without_a_choice_a_config_is_as_it_stands(tmp_path: Path):
    config = load_text(tmp_path, SMALL + ENVIRONMENTS).config
    assert (str(config.schedule), config.tags, list(config.environments)) == ("0 3 * * *", ("a", "b"), ["prod", "test"])


def test_an_environment_is_laid_over_the_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ELT_ENVIRONMENT", "prod")
    item = load_text(tmp_path, SMALL + ENVIRONMENTS)
    config = item.config
    assert (str(config.schedule), config.tags) == ("0 3 * * *", ("c",))
    assert config.extract.connection == "fleet_prod"
    assert config.extract.type == "sql"
    assert config.deadline
    assert (config.deadline.by, config.deadline.within) == (None, timedelta(hours=2))
    assert [table.business_date for table in config.all_tables.values()] == ["built", "sold"]
    assert place(item, "extract", "connection").endswith("a.yaml:11:15")
    assert place(item, "extract", "type").endswith("a.yaml:2:11")
    assert place(item, "tags", 0).endswith("a.yaml:12:12")
    assert place(item, "tags", 1) == ""


def test_environments_of_the_defaults_are_laid_over_the_config_too(configs: Path, monkeypatch: pytest.MonkeyPatch):
    (configs / "_defaults.yaml").write_text("environments: {prod: {owner: ops, catchup: true}, test: {}}\n")
    (configs / "team" / "fleet" / "_defaults.yaml").write_text("environments: {prod: {owner: fleet-ops}}\n")
    monkeypatch.setenv("ELT_ENVIRONMENT", "prod")
    text = SMALL + 'owner: me\nschedule: "@daily"\n'
    config = load_text(configs / "team" / "fleet", text).config
    assert (config.owner, config.catchup) == ("fleet-ops", True)
    monkeypatch.setenv("ELT_ENVIRONMENT", "test")
    assert load_text(configs / "team" / "fleet", text).config.owner == "me"


def test_a_misspelt_environment_is_told_where_environments_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ELT_ENVIRONMENT", "prd")
    (problem,) = problems_of(tmp_path, SMALL + ENVIRONMENTS)
    assert (problem.position.line, problem.position.column, problem.code) == (9, 1, "unknown-name")
    assert problem.hint == 'did you mean "prod"?'
    assert 'ELT_ENVIRONMENT is "prd"' in problem.message


def test_an_environment_that_is_not_declared_is_told_how_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ELT_ENVIRONMENT", "laptop")
    (problem,) = problems_of(tmp_path, SMALL + ENVIRONMENTS)
    assert problem.hint == "use one of: prod, test; to add one without changes, write laptop: {}"


@pytest.mark.parametrize("more", ["", "environments: {}\n"])
@pytest.mark.parametrize("chosen", ["", "prod"])
def test_a_config_without_environments_is_the_same_in_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str, chosen: str
):
    monkeypatch.setenv("ELT_ENVIRONMENT", chosen)
    assert load_text(tmp_path, SMALL + more).config.owner == "airflow"


def test_environments_that_are_not_chosen_are_checked_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ELT_ENVIRONMENT", "test")
    text = SMALL + ENVIRONMENTS.replace("2h", "soon").replace("schedule: null", "schedul: null")
    problems = problems_of(tmp_path, text)
    assert [(problem.position.line, problem.code) for problem in problems] == [(13, "bad-value"), (15, "unknown-key")]
    assert [problem.message.split(":")[0] for problem in problems] == [
        'in the environment "prod"',
        'in the environment "test"',
    ]


def test_what_is_wrong_everywhere_is_told_once(tmp_path: Path):
    (problem,) = problems_of(tmp_path, SMALL + ENVIRONMENTS + "retries: {count: many}\n")
    assert problem.message.startswith("retries.count: ")
