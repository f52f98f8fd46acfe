"""Kinds of other packages come in by the same door as ours: one that is broken costs the config that names it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from elt_factory.config.loading import load_folder
from elt_factory.config.models.sensors import SENSORS
from elt_factory.core import kinds
from elt_factory.core.kinds import Door, KindError

QUEUE = '''
from pydantic import Field
from elt_factory.config.models.base import Model
from elt_factory.core.verdict import Verdict
from elt_factory.sensors.kind import SensorKind

class Queue(Model):
    """A queue is empty."""
    depth: int = Field(0, ge=0, description="Messages that may be left.", examples=[3])
    name: str = Field(description="Name of the queue.", examples=["orders"])

KIND = SensorKind(
    name="queue",
    model=Queue,
    description="Wait until a queue is empty.",
    examples=({"name": "orders"},),
    poke=lambda spec, look: Verdict(spec.depth > 2, f"{look.config.name}: {spec.name}"),
    words=lambda spec: f"{spec.name} is empty",
    about=lambda spec: spec.name,
)
'''
CONFIG = """\
name: {name}
start_date: 2013-01-01
transform: {{dbt: {{select: "tag:x"}}}}
sensors:
  before_transform:
    - {sensor}
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Install a package that has a module and says where its sensors are."""
    site = tmp_path / "site"
    monkeypatch.syspath_prepend(str(site))

    def install(module: str, sensors: str) -> None:
        info = site / "acme_elt-1.0.dist-info"
        info.mkdir(parents=True)
        (site / "acme_elt.py").write_text(module)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-elt\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[elt_factory.sensors]\n{sensors}\n")
        _forget()

    yield install
    monkeypatch.undo()
    sys.modules.pop("acme_elt", None)
    _forget()


def _forget() -> None:
    kinds._installed.cache_clear()
    for name in [name for name in SENSORS._found if name not in SENSORS.built_in]:
        del SENSORS._found[name]


@pytest.fixture
def configs(tmp_path: Path):
    """Read configs of one sensor each: what is wrong with them by name, and those that are right."""
    folder = tmp_path / "dag_configs"
    folder.mkdir()

    def read(**sensors: str):
        for name, sensor in sensors.items():
            (folder / f"{name}.yaml").write_text(CONFIG.format(name=name, sensor=sensor))
        found = load_folder(folder)
        return {file.stem: error.problems for file, error in found.errors.items()}, found.configs

    return read


def test_a_kind_of_another_package_is_a_key_like_ours(package, configs):
    package(QUEUE, "queue = acme_elt:KIND")
    errors, (loaded,) = configs(a="{queue: {name: orders, depth: 3}, timeout: 1h}")
    assert not errors
    (sensor,) = loaded.config.sensors.before_transform
    assert (sensor.kind, sensor.spec.depth, sensor.words) == ("queue", 3, "orders is empty")


@pytest.mark.parametrize(
    ("sensor", "place", "message", "hint"),
    [
        ("{queue: {nam: orders}}", (6, 16), 'unknown key "nam"', 'did you mean "name"?'),
        ("{queue: {name: orders, depth: -1}}", (6, 37), "is out of range", "write at least 0"),
        ("{queu: {name: orders}}", (6, 8), 'unknown key "queu"', 'did you mean "queue"?'),
        ("{queue: {name: a}, http: {connection: b}}", (6, 26), "got queue and http", "write a list entry for each"),
        (
            "{timeout: 1h}",
            (6, 7),
            "a sensor needs one of http, file, sql, freshness, source, asset, dag, time, python, queue",
            "add one",
        ),
    ],
)
def test_a_mistake_in_it_has_its_place_and_a_hint(package, configs, sensor, place, message, hint):
    package(QUEUE, "queue = acme_elt:KIND")
    errors, _ = configs(a=sensor)
    (problem,) = errors["a"]
    assert (problem.position.line, problem.position.column) == place
    assert message in problem.message
    assert hint in problem.hint


@pytest.mark.parametrize(
    ("module", "cause"),
    [
        ("import nowhere_to_be_found", "cannot be imported: ModuleNotFoundError"),
        ("KIND = 1", "is not a SensorKind"),
        (QUEUE.replace('name="queue"', 'name="queues"'), "has the name 'queues'"),
        (QUEUE.replace('    words=lambda spec: f"{spec.name} is empty",\n', ""), "cannot be imported: TypeError"),
        (QUEUE.replace(', examples=["orders"]', ""), "Queue.name needs a description and an example"),
    ],
)
def test_a_kind_that_is_half_there_is_an_error_of_the_config_that_names_it_alone(package, configs, module, cause):
    package(module, "queue = acme_elt:KIND")
    errors, good = configs(a="{queue: {name: orders}}", b="{http: {connection: api}}")
    (problem,) = errors["a"]
    assert (problem.code, problem.position.line, problem.position.column) == ("broken-kind", 6, 8)
    assert cause in problem.message
    assert [item.config.name for item in good] == ["b"]


def test_a_kind_that_no_config_names_is_not_imported(package, configs):
    package("raise SystemError('imported')", "queue = acme_elt:KIND")
    errors, good = configs(b="{http: {connection: api}}")
    assert not errors
    assert len(good) == 1
    assert "acme_elt" not in sys.modules


def test_ours_is_not_replaced_by_a_package_that_takes_its_name(package):
    package(QUEUE.replace('name="queue"', 'name="http"'), "http = acme_elt:KIND")
    assert SENSORS.get("http").model.__name__ == "HttpReady"
    assert SENSORS.names().count("http") == 1


def test_every_kind_of_ours_is_whole():
    assert [kind.name for kind in SENSORS.all()] == list(SENSORS.names())[: len(SENSORS.all())]


def test_a_door_names_what_it_could_not_open():
    door: Door[object] = Door("elt_factory.nothing", {"x": "elt_factory.nowhere:KIND"}, takes="builtins:int")
    with pytest.raises(KindError, match=r'"x" of elt_factory.nothing, elt_factory.nowhere:KIND, cannot be imported'):
        door.get("x")
    with pytest.raises(KeyError):
        door.get("y")
