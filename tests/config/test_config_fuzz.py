"""Good files, spoilt at random: the outcome is a config or problems with places, never another exception."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from config_support import DAG_CONFIGS, DEFECTS, NORTH_STAR, is_inside, load_text, thorough
from croniter import croniter
from hypothesis import given
from hypothesis import strategies as st

from elt_factory.config.errors import ConfigError
from elt_factory.config.loading import LoadedConfig, load_config
from elt_factory.config.models.cron import _PLAIN
from elt_factory.config.yaml.text import compose
from elt_factory.config.yaml.tree import NotPlainError, PlacedTree, plain_data

GOOD = [NORTH_STAR, *(file.read_text() for file in sorted(DAG_CONFIGS.glob("[a-z]*.yaml")))]
GOOD.append(
    """\
version: 1
name: fleet
owner: ${OWNER:-us}
retries: {count: 3}
environments:
  prod: &prod {retries: {count: 5}, extract: {connection: other}, tables: {owners: {write_disposition: replace}}}
  test: {<<: *prod, schedule: "@daily", deadline: {within: 2h}}
extract:
  type: sql
  connection: fleet_db
  fetch_rows: ${ROWS:-500}
tables: {planes: {primary_key: [tailnum]}, owners: {query: "select '$${x}'"}}
"""
)
SPOILT = [file.read_text() for file in sorted(DEFECTS.glob("*.yaml"))]
KEYS = sorted({word.strip(" {[-,") for text in GOOD for line in text.splitlines() for word in line.split(":")[:-1]})
# what people write, and what only an enemy does
RAW = """
~ | null | "" | '' | true | no | 0 | -1 | 1.5 | 1e999 | 012 | 0x1F | 1_000 | .inf | .nan | 99999999999999999999 | 1e-400
[] | {} | [[]] | [1, two, null] | {a: 1} | {type: cursor} | {type: [x]} | {type: null} | [{}]
{"": ""} | {a: {b: {c: {}}}}
2013-01-01 | 2013-02-30 | 0000-00-00 | 9999-12-31 | 12:30 | 99:99 | "06:00" | "24:00" | 2013-01-01T00:00:00+99:00
1h | 0s | 99999999999d | 20% | 500/minute | decimal(99,99) | decimal(2,3) | text(3) | UTC | ../../etc/passwd | /etc
"0 3 * * *" | "* * * *" | "0 0 31 2 *" | "@daily" | "0-99999999 * * * *" | "*/0 * * * *" | "0 0 * * 1#6" | "a b c d e"
"{{ window.start }}" | "{{" | "}}" | "{{ x | y }}" | {{ window.start }} | %Y-%m-%Q | "%" | "\\0" | "\\ud800"
"\\U0010ffff" | "\\x01"
*a | &a [*a] | &a {<<: *a} | !x y | !!python/name:os.system | !!binary aGk= | !!set {a} | !!int x | !!float x | ! x | <<
${HOME} | "${HOME}" | ${NOT_SET_ANYWHERE} | ${NOT_SET:-5} | ${NOT_SET:-} | a${NOT_SET:-b}c | ${ | ${} | $${x} | ${A_KEY}
2 | ${NOT_SET:-[a]} | {prod: {}} | {prod: {owner: us}}
{prod: {tables: null}} | {prod: [a]} | {prod: {extract: {type: ftp}}}
upsert | Fleet | fleet | é | ٣ | \U0001f600 | - | ? | : | # | @x | `x | %x | | | > | [ | { | " | ' | "x" y | 'it's'
""".replace("\n", " | ").split(" | ")
RAW += [
    "9" * 5000,
    "a" * 5000,
    "[" * 3000,
    "{a: " * 2000,
    "- " * 3000,
    "[" * 60 + "]" * 60,
    "\t",
    "\x00",
    "\x85",
    "\u2028",
    "\ufeff",
]

Text = str
Change = Callable[[st.DataObject, Text], Text]


def scalars() -> st.SearchStrategy[str]:
    return st.one_of(
        st.sampled_from(RAW), st.text(max_size=20), st.integers().map(str), st.floats().map(str), st.sampled_from(KEYS)
    )


def truncated(data: st.DataObject, text: Text) -> Text:
    return text[: data.draw(st.integers(0, len(text)))]


def inserted(data: st.DataObject, text: Text) -> Text:
    at = data.draw(st.integers(0, len(text)))
    return text[:at] + data.draw(st.one_of(st.text(max_size=5), st.sampled_from(RAW))) + text[at:]


def cut_out(data: st.DataObject, text: Text) -> Text:
    at = data.draw(st.integers(0, len(text)))
    return text[:at] + text[at + data.draw(st.integers(1, 30)) :]


def line_changed(data: st.DataObject, text: Text) -> Text:
    lines = text.splitlines() or [""]
    at = data.draw(st.integers(0, len(lines) - 1))
    change = data.draw(st.sampled_from(["twice", "away", "in", "out", "tab", "moved", "comment"]))
    line = lines.pop(at)
    match change:
        case "twice":
            lines[at:at] = [line, line]
        case "in":
            lines.insert(at, "  " + line)
        case "out":
            lines.insert(at, line.lstrip(" "))
        case "tab":
            lines.insert(at, "\t" + line)
        case "moved":
            lines.insert(data.draw(st.integers(0, len(lines))), line)
        case "comment":
            lines.insert(at, "#" + line)
    return "\n".join(lines)


def value_changed(data: st.DataObject, text: Text) -> Text:
    """A value of the tree, swapped for raw YAML; a key renamed, or moved, or gone."""
    try:
        tree = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError, AttributeError):
        return text
    paths = list(_paths(tree, (), 0))
    if not paths:
        return text
    path = data.draw(st.sampled_from(paths))
    parent = tree
    for part in path[:-1]:
        parent = parent[part]
    change = data.draw(st.sampled_from(["value", "value", "value", "key", "away"]))
    if change == "away" and isinstance(parent, dict):
        parent.pop(path[-1])
    elif change == "key" and isinstance(parent, dict):
        parent["PLACEHOLDER"] = parent.pop(path[-1])
    else:
        parent[path[-1]] = "PLACEHOLDER"
    flow = data.draw(st.sampled_from([None, False, True]))
    return yaml.safe_dump(tree, default_flow_style=flow, sort_keys=False).replace("PLACEHOLDER", data.draw(scalars()))


def _paths(tree: Any, path: tuple[Any, ...], depth: int) -> Any:
    if depth > 12:
        return
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for part, below in items:
        yield (*path, part)
        yield from _paths(below, (*path, part), depth + 1)


CHANGES: list[Change] = [truncated, inserted, cut_out, line_changed, value_changed, value_changed, value_changed]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


def outcome(folder: Path, text: str) -> LoadedConfig | ConfigError:
    try:
        return load_text(folder, text)
    except ConfigError as error:
        return error


def check(folder: Path, text: str) -> None:
    found = outcome(folder, text)
    if isinstance(found, ConfigError):
        assert found.problems
        assert all(is_inside(problem) for problem in found.problems), text
        assert all(problem.message and problem.code for problem in found.problems)
        assert str(found)
    else:
        assert found.config.name


@thorough
@given(st.data(), st.one_of(st.sampled_from(GOOD), st.sampled_from(SPOILT)))
def test_spoilt_files_end_in_problems_with_places(folder: Path, data: st.DataObject, text: str):
    for change in data.draw(st.lists(st.sampled_from(CHANGES), min_size=1, max_size=3)):
        text = change(data, text)
    check(folder, text.encode("utf-8", errors="replace").decode())


@thorough
@given(st.text(alphabet=st.characters(codec="utf-8")))
def test_any_text_ends_in_problems_with_places(folder: Path, text: str):
    check(folder, text)


@thorough
@given(st.lists(st.sampled_from([*RAW, *KEYS, ": ", "\n", "\n  ", "- ", ", ", "  "]), max_size=30).map("".join))
def test_any_words_end_in_problems_with_places(folder: Path, text: str):
    check(folder, text.encode("utf-8", errors="replace").decode())


@thorough
@given(st.data(), st.one_of(st.sampled_from(GOOD), st.sampled_from(SPOILT)))
def test_the_quick_way_reads_what_the_careful_one_reads(folder: Path, data: st.DataObject, text: str):
    for change in data.draw(st.lists(st.sampled_from(CHANGES), max_size=3)):
        text = change(data, text)
    text = text.encode("utf-8", errors="replace").decode()
    try:
        node = compose(folder / "a.yaml", text)
        quick = plain_data(node) if node is not None and "&" not in text else None
    except (ConfigError, NotPlainError):
        return
    if quick is not None:
        tree = PlacedTree(folder / "a.yaml")
        assert tree.build(node, ()) == quick
        assert not tree.problems


@thorough
@given(st.from_regex(_PLAIN, fullmatch=True))
def test_schedules_that_are_let_through_quickly_are_right(text: str):
    assert croniter.is_valid(text)
    assert croniter(text).get_next()


@thorough
@given(st.binary(max_size=200))
def test_any_bytes_end_in_problems_with_places(folder: Path, content: bytes):
    file = folder / "bytes.yaml"
    file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    assert all(is_inside(problem) for problem in caught.value.problems)
