"""Read public low-code manifests from an API that answers as each describes: is every row right?

    python benchmarks/manifests_mocked.py FOLDER [--most 20] [--cdk PYTHON]

FOLDER has files manifest.yaml, at any depth. Of each manifest the streams that `elt import airbyte` writes as tables,
and that `manifest_mock.py` can serve, are read, landed and loaded into DuckDB: parents before children, for the last
seven days. Every row is compared with what the API has, value by value. With `--cdk`, the Python of an environment with
airbyte-cdk, that reads the same API too. Exits with 1 where a row is missing, doubled or wrong.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from elt_factory.core.connection import Connection
from elt_factory.core.failures import EltError
from elt_factory.core.window import Window
from elt_factory.extract.request import Spool
from elt_factory.importing.manifest.compiling import Compiled, compiled
from elt_factory.importing.manifest.streams import table_name
from elt_factory.importing.manifest.tree import streams_of
from elt_factory.landing.parents import queried_keys
from elt_factory.testing.loads import Line, source_of
from manifest_mock import LOGIN, SECRET, Mock, Stream, serving
from manifest_records import END, START, Record

LEAST = 3
DATES = (
    "%Y-%m-%dT%H:%M:%SZ",
    "%Y-%m-%d",
    "%Y-%m-%dT%H:%M:%S.000Z",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%dT%H:%M:%S.000000Z",
    "%s",
)
WINDOW = Window(START, END)


@dataclass(frozen=True)
class TableLine(Line):
    """One table of a config with several, read with the rows of its parents."""

    name: str = ""

    @property
    def table(self) -> str:
        """The table that is loaded."""
        return self.name

    def read(self, window: Window, workdir: Path, **given: Any) -> Spool:
        """Read with the rows of the parent, as the warehouse has them."""
        spec = self.source.tables[self.name]
        if spec.parents:
            parent = TableLine(self.source, self.connection, self.folder, self.log, spec.parents[0])
            own, columns = parent.rows(), spec.columns_of_parent
            rows = [dict(one) for one in {tuple((name, row[name]) for name in columns) for row in own}]
            given["keys"] = queried_keys(rows, columns, workdir).file
        return super().read(window, workdir, **given)


def served(root: Mapping[str, Any], found: Compiled) -> Mock:
    """Return the API of those streams that are tables, with the reasons for others."""
    mock = Mock.of(streams_of(root))
    mock.unserved |= {name: f"not compiled: {reason}" for name, reason in found.left_out.items()}
    tables = found.config["tables"]
    for stream in mock.streams:
        each = tables.get(table_name(stream.node), {}).get("for_each")
        if isinstance(each, dict) and "each" in each:
            mock.unserved[stream.name] = "several routers"
    mock.streams = [one for one in mock.streams if table_name(one.node) in tables and one.name not in mock.unserved]
    return mock


def in_order(streams: Sequence[Stream]) -> Iterator[Stream]:
    """Yield parents before children."""
    done: set[str] = set()
    left = list(streams)
    while left:
        ready = [one for one in left if one.parent is None or one.parent.name in done]
        if not ready:
            return
        yield from ready
        done |= {one.name for one in ready}
        left = [one for one in left if one.name not in done]


def wrong(stream: Stream, rows: Sequence[Mapping[str, Any]], *, apart: frozenset[str] = frozenset()) -> str:
    """Return what is wrong with the rows of a stream, by all values of all records; empty where nothing is."""
    wanted = [{key: value for key, value in one.items() if key not in ("_old", *apart)} for one in stream.all_records()]
    given = [{key.casefold(): value for key, value in row.items()} for row in rows]
    if len(wanted) != len(given):
        return f"{len(given)} rows, not {len(wanted)}"
    there = sorted(
        json.dumps({key: _plain(row.get(key.casefold())) for key in wanted[0]}, sort_keys=True) for row in given
    )
    whole = sorted(json.dumps({key: _plain(value) for key, value in one.items()}, sort_keys=True) for one in wanted)
    differ = [(one, other) for one, other in zip(there, whole, strict=True) if one != other]
    return f"{len(differ)} rows differ, such as {differ[0][0][:300]}, not {differ[0][1][:300]}" if differ else ""


def _plain(value: Any) -> Any:
    """Return a value as text that is the same whether it comes out of JSON or out of a column."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        value = json.loads(value)
    if isinstance(value, dict):
        return {key: _plain(below) for key, below in value.items()}
    if isinstance(value, list):
        return [_plain(below) for below in value]
    return value if isinstance(value, bool) or value is None else _text(value)


def _text(value: Any) -> str:
    text = value.isoformat() if isinstance(value, datetime) else str(value)
    try:
        return datetime.fromisoformat(text).isoformat()[:19] if len(text) > len("2013-01-01") else _number(text)
    except ValueError:
        return _number(text)


def _number(text: str) -> str:
    try:
        return f"{float(text):.6f}"
    except ValueError:
        return text


def loaded(found: Compiled, mock: Mock, address: str, folder: Path) -> Iterator[tuple[Stream, str]]:
    """Load the tables of a config, and yield what is wrong with each; empty where nothing is."""
    extra = {name.removeprefix("extra."): SECRET for name in found.held if name.startswith("extra.")}
    connection = Connection("api", "http", host=address, login=LOGIN, password=SECRET, extra=extra)
    source = source_of(found.config, folder)
    for stream in in_order(mock.streams):
        line = TableLine(source, connection, folder, lambda _: None, table_name(stream.node))
        try:
            line.load(WINDOW)
            yield stream, wrong(stream, line.rows())
        except EltError as error:
            yield stream, str(error)[:300]
        except KeyError as error:
            yield stream, f"its parent has no column {error}"


def settings_of(root: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings for airbyte-cdk, out of their descriptions; those that are only used are secrets."""
    spec = (root.get("spec") or {}).get("connection_specification") or {}
    used = dict.fromkeys(re.findall(r"""config(?:\.|\[['"])(\w+)""", json.dumps(root).replace('\\"', '"')), SECRET)
    forms = dict(_read_as(root))
    said = {name: _setting(name, about, forms.get(name)) for name, about in (spec.get("properties") or {}).items()}
    return {name: value for name, value in used.items() if name != "get"} | said


def _read_as(node: Any) -> Iterator[tuple[str, str]]:
    """Yield the settings that a manifest reads as times of one form, with the form."""
    below = node.values() if isinstance(node, Mapping) else node if isinstance(node, list) else ()
    if isinstance(node, Mapping) and node.get("type") == "MinMaxDatetime" and node.get("datetime_format"):
        for name in re.findall(r"""config(?:\.|\[['"])(\w+)""", str(node.get("datetime"))):
            yield name, str(node["datetime_format"])
    for one in below:
        yield from _read_as(one)


def _setting(name: str, about: Mapping[str, Any], form: str | None = None) -> Any:
    if "date" in name or str(about.get("format", "")).startswith("date"):
        day = END if "end" in name else START
        if form in DATES and not about.get("pattern"):
            return f"{day:{form}}"
        return _date(day, str(about.get("pattern") or ""), about.get("examples") or [])
    if about.get("airbyte_secret"):
        return SECRET
    given = about.get("default", next(iter(about.get("examples") or []), None))
    return (
        given if given is not None else {"integer": 1, "array": [], "boolean": False}.get(str(about.get("type")), "x")
    )


def _date(day: datetime, pattern: str, examples: Sequence[Any]) -> str:
    """Return a day as a setting's pattern wants it, or as its example is written."""
    texts = [f"{day:{form}}" for form in DATES]
    if pattern:
        return next((text for text in texts if re.fullmatch(pattern, text)), texts[0])
    like = [re.sub(r"\d", "0", text) for text in texts]
    shapes = [re.sub(r"\d", "0", str(one)) for one in examples]
    return next((text for text, shape in zip(texts, like, strict=True) if shape in shapes), texts[0])


def at_address(node: Any, address: str) -> Any:
    """Return a manifest whose requests lead to an address, one page after the other as it is."""
    if isinstance(node, list):
        return [at_address(below, address) for below in node]
    if not isinstance(node, dict):
        return node
    found = {key: at_address(below, address) for key, below in node.items()}
    for key in ("url_base", "url"):
        if isinstance(found.get(key), str):
            found[key] = re.sub(r"^\s*(https?://(?:\{\{.*?\}\}|[^/{])+|\{\{.*?\}\})", address, found[key])
    return found


def read_by_cdk(
    python: Path, root: Mapping[str, Any], mock: Mock, address: str, folder: Path
) -> dict[str, list[Record]]:
    """Return the records that airbyte-cdk reads of the same streams."""
    configured = [
        {
            "stream": {"name": one.name, "json_schema": {}, "supported_sync_modes": ["full_refresh"]},
            "sync_mode": "full_refresh",
            "destination_sync_mode": "append",
        }
        for one in mock.streams
    ]
    given = {
        "config": json.dumps(settings_of(root)),
        "catalog": json.dumps({"streams": configured}),
        "manifest-path": yaml.safe_dump(at_address(root, address)),
    }
    for name, text in given.items():
        (folder / name).write_text(text)
    flags = [part for name in given for part in (f"--{name}", str(folder / name))]
    command = [str(python.parent / "source-declarative-manifest"), "read", *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    found: dict[str, list[Record]] = {one.name: [] for one in mock.streams}
    for line in done.stdout.splitlines():
        if '"type":"RECORD"' in line:
            record = json.loads(line)["record"]
            found[record["stream"]].append(record["data"])
    if done.returncode and not any(found.values()):
        print(f"    airbyte-cdk ends with {done.returncode}: {_last_error(done.stdout)}")
    return found


def _last_error(said: str) -> str:
    texts = [json.loads(line) for line in said.splitlines() if line.startswith('{"type":"TRACE"')]
    errors = [one["trace"]["error"] for one in texts if "error" in (one.get("trace") or {})]
    return str(errors[-1].get("internal_message") or errors[-1].get("message"))[:200] if errors else said[-200:]


def changed_by(stream: Stream) -> frozenset[str]:
    """Return the columns that transformations of a manifest make, or remove: they are not the API's."""
    names: set[str] = set()
    for step in stream.node.get("transformations") or []:
        for one in step.get("fields") or []:
            names.add(str((one.get("path") or [""])[0]))
        names |= {str(way[0]) for way in step.get("field_pointers") or []}
    return frozenset(names)


def main() -> int:
    """1 where a row is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--most", type=int, default=20, help="manifests that are read")
    parser.add_argument("--cdk", type=Path, help="Python of an environment with airbyte-cdk")
    parser.add_argument("--only", default="", help="those with this in their path")
    given = parser.parse_args()
    read, bad, streams, rows = 0, 0, 0, 0
    for number, file in enumerate(sorted(given.folder.rglob("manifest.yaml"))):
        if given.only not in str(file) or read == given.most:
            continue
        root = yaml.load(file.read_text(encoding="utf-8"), yaml.CSafeLoader)
        found = compiled(root, f"connector_{number}")
        mock = served(root, found)
        if len(mock.streams) < LEAST or len(mock.unserved) > len(mock.streams) / 4:
            continue
        read += 1
        with serving(mock) as address, tempfile.TemporaryDirectory() as scratch:
            said = [*loaded(found, mock, address, Path(scratch))]
            other = _compared(given.cdk, root, mock, address, Path(scratch)) if given.cdk else ""
        errors = {stream.name: text for stream, text in said if text}
        count = sum(len(stream.all_records()) for stream, _ in said)
        streams, rows, bad = streams + len(said), rows + count, bad + len(errors)
        print(
            f"{file.parent.name:32}{len(said) - len(errors):>4} of {len(said):>3} streams right,{count:>6} rows{other}",
            flush=True,
        )
        for name, text in errors.items():
            print(f"    {name}: {text}")
    print(f"{read} manifests, {streams} streams, {rows} rows; {bad} streams wrong")
    return int(bad > 0)


def _compared(python: Path, root: Mapping[str, Any], mock: Mock, address: str, folder: Path) -> str:
    given = read_by_cdk(python, root, mock, address, folder)
    errors = {one.name: wrong(one, given[one.name], apart=changed_by(one)) for one in mock.streams}
    right = sum(not text for text in errors.values())
    return f"; airbyte-cdk {right} of {len(errors)}" + "".join(
        f"\n    cdk {name}: {text}" for name, text in errors.items() if text
    )


if __name__ == "__main__":
    sys.exit(main())
