"""Parses that came to nothing are asked for again; an error of the machine is shown as one."""

import errno
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pytest
from bundle_support import BROKEN, write, write_good

from elt_factory.config.errors import ConfigError
from elt_factory.dag import together
from elt_factory.dag.environment import EnvironmentFailedError, may_pass
from elt_factory.dag.healing import PASSING_AT_A_TIME, Healer
from elt_factory.dag.known import Known, known_to_airflow
from elt_factory.dag.loader import load_dags, load_file
from elt_factory.dag.preload import preload
from elt_factory.dag.stubs import StubFolder

SECOND = 1_000_000_000
ASKED = 1_000 * SECOND


def again(known: dict[str, Known], seconds: float, healer: Healer | None = None) -> list[str]:
    """The files asked for again so many seconds after each was asked for."""
    files = known or {"a": Known()}
    return (healer or Healer()).due(dict.fromkeys(files, ASKED), known, ASKED + int(seconds * SECOND))


@pytest.mark.parametrize(
    "known",
    [
        {},
        {"a": Known(parsed=ASKED - 1)},
        {"a": Known(failed=ASKED - 1)},
        {"a": Known(parsed=ASKED - 9, failed=ASKED - 1)},
    ],
    ids=["never parsed, or stale", "an older DAG", "an older error", "both older"],
)
def test_a_file_of_which_nothing_was_stored_since_it_was_asked_for_is_asked_for_again(known):
    assert again(known, 5) == []
    assert again(known, 21) == ["a"]


@pytest.mark.parametrize("known", [Known(parsed=ASKED + 1), Known(failed=ASKED + 1), Known(ASKED - 1, ASKED + 1)])
def test_a_file_whose_dag_or_own_error_was_stored_is_left_alone(known):
    assert again({"a": known}, 10_000) == []


def test_a_file_that_kills_every_parse_is_tried_once_a_minute_and_a_healed_one_is_forgotten():
    healer = Healer()
    assert [again({}, seconds, healer) for seconds in (21, 21, 41, 59, 61, 61)] == [["a"], [], ["a"], [], ["a"], ["a"]]
    assert again({"a": Known(parsed=ASKED)}, 61, healer) == []
    assert again({}, 21, healer) == ["a"]


def test_errors_of_the_machine_are_read_again_a_few_at_a_time_and_lost_parses_all():
    failing = {f"f{number:02}": Known(failed=ASKED + 1, passing=True) for number in range(50)}
    lost = {f"l{number:02}": Known() for number in range(50)}
    asked = again(failing | lost, 21)
    assert [sum(name.startswith(kind) for name in asked) for kind in "fl"] == [PASSING_AT_A_TIME, 50]


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("ConfigError: /p/a.yaml:2:10: unknown key [unknown-key]", False),
        ("ConfigError: /p/a.yaml:2:10: install it [missing-extra]", True),
        ("AirflowTaskTimeout: DagBag import timeout for /p/stubs/a.yaml.py after 30.0s.", True),
        ("EnvironmentFailedError: /p/a.yaml: this machine could not read the config: MemoryError [environment]", True),
    ],
)
def test_only_an_error_with_a_place_in_the_yaml_waits_for_a_change(text, passes):
    assert may_pass(text) is passes


@pytest.fixture
def configs(tmp_path: Path) -> Path:
    write_good(tmp_path / "dag_configs", ["a", "b"])
    return tmp_path / "dag_configs"


@pytest.mark.parametrize(
    ("error", "told"),
    [(MemoryError(), "config: MemoryError \\["), (OSError(errno.ENOSPC, "No space left on device"), "No space left")],
)
def test_no_memory_and_no_disk_are_errors_of_the_machine(configs, monkeypatch, error, told):
    from elt_factory.dag import factory

    def fail(*_):
        raise error

    monkeypatch.setattr(factory, "build_dag", fail)
    with pytest.raises(EnvironmentFailedError, match=told) as caught:
        load_file(configs, configs / "a.yaml")
    assert may_pass(str(caught.value))


def test_a_package_that_does_not_import_is_an_error_of_the_machine_and_of_no_other_dag(configs, monkeypatch):
    write_good(configs, ["dbt"], 'transform: {dbt: {select: "tag:flights"}}\n')
    monkeypatch.setitem(sys.modules, "elt_factory.dag.transform", None)
    with pytest.raises(EnvironmentFailedError, match=r"dbt.yaml: this machine .* ModuleNotFoundError.*\[env"):
        load_file(configs, configs / "dbt.yaml")
    dags = load_dags(configs)
    assert "this machine" in dags["dbt"].doc_md
    assert {"config-error"} & {*dags["a"].tags, *dags["b"].tags} == set()


def test_an_error_of_the_yaml_is_none_of_the_machine(configs):
    for way, (text, place) in BROKEN.items():
        write(configs / f"{way}.yaml", text)
        if way != "bad_dbt":
            with pytest.raises(ConfigError, match=f"{way}.yaml:{place}: ") as caught:
                load_file(configs, configs / f"{way}.yaml")
            assert not may_pass(str(caught.value))


def test_what_airflow_has_stored_is_found_for_each_file_of_the_bundle(configs, tmp_path, airflow_db):
    from airflow.models.dag import DagModel
    from airflow.models.dagbundle import DagBundleModel
    from airflow.models.errors import ParseImportError
    from airflow.utils.session import create_session

    stubs = StubFolder(configs, tmp_path / "bundle")
    write(configs / "c.yaml", "name: c\n")
    write(configs / "d.yaml", "name: d\n")
    stubs.sync()
    later = datetime.now(UTC) + timedelta(seconds=1)
    with create_session() as session:
        session.add_all([DagBundleModel(name="healing"), DagBundleModel(name="else")])
        session.flush()
        for file, stale, bundle in (("a", False, "healing"), ("b", True, "healing"), ("c", False, "else")):
            place = {"bundle_name": bundle, "fileloc": file, "relative_fileloc": f"{file}.yaml.py"}
            session.add(DagModel(dag_id=f"healing_{file}", is_stale=stale, last_parsed_time=later, **place))
        session.add(ParseImportError(filename="d.yaml.py", bundle_name="healing", timestamp=later, stacktrace="Killed"))
    known = known_to_airflow("healing")
    assert set(known) == {"a.yaml.py", "d.yaml.py"}
    assert known["a.yaml.py"].parsed == known["d.yaml.py"].failed == int(later.timestamp() * 1e9)
    now = max(stubs.asked().values()) + 60 * SECOND
    before = stubs.asked()
    Healer().heal("healing", stubs, now)
    after = stubs.asked()
    assert {name for name in after if after[name] != before[name]} == {"b.yaml.py", "c.yaml.py", "d.yaml.py"}


def test_the_dag_processor_prepares_what_its_processes_need_without_an_error(configs, caplog):
    preload(configs)
    assert "cannot preload" not in caplog.text
    assert {"elt_factory.dag.loader", "elt_factory.sources.files.kind"} <= {*sys.modules}


class File(NamedTuple):
    absolute_path: Path
    bundle_name: str = "b"
    bundle_version: str | None = None

    @property
    def rel_path(self) -> str:
        return self.absolute_path.name


class Manager(SimpleNamespace):
    def __init__(self, **state) -> None:
        super().__init__(**{"_file_queue": {}, "_processors": {}, "_callback_to_execute": {}} | state)

    def _add_files_to_queue(self, files, *, mode):
        self._file_queue |= dict.fromkeys(files)


def test_what_a_process_that_timed_out_had_to_read_is_read_one_by_one_and_no_callback_is_forgotten(configs):
    a, b, gone = (File(configs / f"{name}.yaml") for name in ("a", "b", "gone"))
    reader = together.Together(lambda manager, file: file, print, limits={"b": 10}, running={a: [a, b, gone]})
    manager = Manager(_processors={a: "alive"}, _file_queue={b: None}, _parallelism=1)
    reader.clean(manager)
    assert manager._file_queue == {}
    manager._callback_to_execute[b] = ["callback"]
    reader.clean(manager)
    assert [*manager._file_queue] == [b]
    manager._processors.clear()
    reader.clean(manager)
    assert {*manager._file_queue} == {a, b}
    manager._file_queue.pop(a)
    assert reader.start(manager, a) == a
    assert reader.running == {}


def test_a_process_that_is_killed_before_it_has_its_file_ends_no_dag_processor(configs):
    left = [BrokenPipeError(), ConnectionResetError(), "process"]

    def create(manager, file):
        manager._callback_to_execute.pop(file, None)
        found = left.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    file = File(configs / "a.yaml")
    manager = Manager(_callback_to_execute={file: ["callback"]})
    assert together.Together(create, create).start(manager, file) == "process"
    assert left == []


def test_another_airflow_reads_each_file_by_a_process_of_its_own_and_says_so(monkeypatch, caplog):
    class DagFileProcessorManager:
        def _create_process(self, dag_file, more): ...

    before = DagFileProcessorManager._create_process
    module = SimpleNamespace(DagFileProcessorManager=DagFileProcessorManager)
    monkeypatch.setitem(sys.modules, "airflow.dag_processing.manager", module)
    monkeypatch.setattr(together, "_together", None)
    together.parse_together("sources", 25)
    assert DagFileProcessorManager._create_process is before
    assert "another _create_process" in caplog.text
