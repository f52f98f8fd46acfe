"""What connectors of others do wrong, each by its name, for every kind of them: one clear error or the right result.

A first load is there. Then a connector does what it should not, and then it does what it should: nothing is lost,
nothing is there twice, and it is given the state of the first load both times, as that is the one which was committed.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from connectors_support import (
    DLT,
    DLT_REQUIREMENTS,
    LIMITS,
    airbyte,
    airbyte_record,
    airbyte_state,
    failure,
    line_of,
    singer,
    singer_record,
    singer_state,
    status,
    write_old_dlt,
    write_wheel,
)

from elt_factory.core.connection import Connection
from elt_factory.core.failures import BadDataError, BadRequestError, EltError, SourceUnavailableError
from elt_factory.core.window import Window
from elt_factory.sources.connectors import process
from elt_factory.testing.loads import WEEK, Line, source_of

pytestmark = pytest.mark.services
NEXT_WEEK = Window(WEEK.end, WEEK.end + timedelta(days=7))
CHANGES = {"write_disposition": "merge", "primary_key": ["id"], "sync": "incremental"}
KINDS = ("airbyte", "singer", "dlt")
Steps = Sequence[Mapping[str, Any]]

# what a source of dlt does is told as to the other connectors
ACME = """
import json, os, sys, time
import dlt


@dlt.source
def acme(steps: list, asked: str):
    @dlt.resource(primary_key="id")
    def users(at=dlt.sources.incremental("id", initial_value=0)):
        with open(asked, "w") as out:
            json.dump({"state": at.last_value}, out)
        for step in steps:
            for what, value in step.items():
                if what == "row":
                    yield value
                elif what == "other":
                    yield dlt.mark.with_table_name(value, "spies")
                elif what == "say":
                    print(value, flush=True)
                elif what == "bytes":
                    sys.stdout.buffer.write(bytes.fromhex(value) + b"\\n")
                elif what == "raise":
                    raise ValueError(value)
                elif what == "sleep":
                    time.sleep(value)
                elif what == "memory":
                    held = bytearray(os.urandom(1)) * (value << 20)
                elif what == "exit":
                    sys.stderr.flush()
                    os._exit(value)
                elif what == "leave":
                    sys.exit(value)

    return users
"""


def row(kind: str, number: int, **more: Any) -> Mapping[str, Any]:
    """A step that sends a record."""
    made = {"airbyte": airbyte_record, "singer": singer_record}
    if kind == "dlt":
        return {"row": {"id": number, "zip": f"0{number}", **more}}
    step = made[kind](number)
    record = step["say"]["record"]
    (record["data"] if kind == "airbyte" else record).update(more)
    return step


def state(kind: str, number: int) -> Steps:
    """The steps that send a state; of dlt's that is not the source's own affair."""
    made = {"airbyte": lambda: [airbyte_state({"id": number})], "singer": lambda: [singer_state({"id": number})]}
    return made.get(kind, list)()


def done(kind: str) -> Steps:
    return [status("COMPLETE")] if kind == "airbyte" else []


@dataclass
class Stage:
    """A folder with a connector of a kind, and what was logged and warned there."""

    kind: str
    folder: Path
    log: list[str] = field(default_factory=list)

    def line(self, steps: Steps, **more: Any) -> Line:
        file, table = self.folder / "asked.json", {**CHANGES, **more}
        if self.kind == "dlt":
            return self._of_dlt(steps, file, table)
        given = [{"asked": str(file)}, *steps]
        settings = singer(*given) if self.kind == "singer" else airbyte(*given)
        return line_of(self.kind, self.folder, settings, self.log, **table)

    def _of_dlt(self, steps: Steps, file: Path, table: dict[str, Any]) -> Line:
        (self.folder / "dlt").mkdir(exist_ok=True)
        (self.folder / "dlt" / "acme.py").write_text(ACME)
        extract = {"type": "dlt", "package": DLT, "requirements": [*DLT_REQUIREMENTS], "source": "acme:acme"}
        extract |= {"connection": "acme"} | {key: table.pop(key) for key in LIMITS if key in table}
        if extract["package"] != DLT:
            del extract["requirements"]
        extra = {"arguments": {"steps": [*steps], "asked": str(file)}}
        config = {"name": "acme", "extract": extract, "tables": {"users": table}}
        return Line(
            source_of(config, self.folder), Connection("acme", "generic", extra=extra), self.folder, self.log.append
        )

    def whole(self, *numbers: int, **more: Any) -> Line:
        """A connector that does what it should."""
        rows = [row(self.kind, number) for number in numbers]
        return self.line([*rows, *state(self.kind, numbers[-1]), *done(self.kind)], **more)

    def ids(self) -> list[int]:
        return sorted(found["id"] for found in self.whole(0).rows())

    @property
    def asked(self) -> Any:
        return json.loads((self.folder / "asked.json").read_text())["state"]


@dataclass(frozen=True)
class Mistake:
    """What a connector of a kind does, and what comes of it: an error that says so, or these ids in the table."""

    steps: Callable[[str], Steps] = lambda kind: [row(kind, 3), *state(kind, 3), *done(kind)]
    error: type[EltError] | None = None
    says: str = ""
    ids: Sequence[int] = (1, 2)
    given: Mapping[str, Any] = field(default_factory=dict)


def _then(*steps: Mapping[str, Any], good: bool = False) -> Callable[[str], Steps]:
    """A record, these steps, and, where it ends well, another record and the end."""
    return lambda kind: [
        row(kind, 3), *steps, *([row(kind, 4), *state(kind, 4), *done(kind)] if good else [])
    ]  # fmt: skip


def _other_streams(kind: str) -> Steps:
    others = {
        "airbyte": lambda: airbyte_record(9, "spies"),
        "singer": lambda: singer_record(9, "spies"),
        "dlt": lambda: {"other": {"id": 9}},
    }
    return _then(others[kind](), good=True)(kind)


def _changed(kind: str) -> Steps:
    said = {"say": {"type": "SCHEMA", "stream": "users", "schema": {"properties": {"zip": {"type": "integer"}}}}}
    return [
        row(kind, 3),
        *([said] if kind == "singer" else []),
        row(kind, 4, zip=77, new={"a": 1}),
        *state(kind, 4),
        *done(kind),
    ]


def _much(kind: str) -> Steps:
    return [row(kind, 3), *[{"say": "x" * 10_000}] * 250, *state(kind, 3), *done(kind)]


GARBAGE = [
    {"say": "Downloading..."},
    {"say": "{not a message}"},
    {"say": '{"no": "type"}'},
    {"say": "[1]"},
    {"bytes": "fffe00"},
]
UNTOLD = {"say": {"type": "STATE", "value": {"currently_syncing": "users", "id": 3}}}
UNKNOWN = {"say": {"type": "RECORDS", "stream": "users", "records": [{"id": 3}]}}
REFUSED = "the cursor has expired"
MISTAKES: Mapping[str, Mapping[str, Mistake]] = {
    "does not install": dict.fromkeys(
        KINDS, Mistake(error=BadRequestError, says="cannot install the connector", given={"package": "tap-none==9.9"})
    ),
    "speaks another version of the protocol": {
        "airbyte": Mistake(
            error=BadRequestError, says=r"speaks version 1\.0\.0 of Airbyte", given={"executable": "source-newer"}
        ),
        # Singer has no versions: one that is not known has messages that are not known
        "singer": Mistake(lambda _: [UNKNOWN], BadDataError, '"RECORDS", which is not of Singer\'s protocol'),
        "dlt": Mistake(error=BadRequestError, says=r"dlt 0\.1 cannot be run here", given={"package": "dlt==0.1"}),
    },
    "prints garbage between messages": dict.fromkeys(
        KINDS, Mistake(_then(*GARBAGE, good=True), says=r"Downloading\.\.\.", ids=(1, 2, 3, 4))
    ),
    "changes its schema midway": dict.fromkeys(KINDS, Mistake(_changed, ids=(1, 2, 3, 4))),
    "sends records of unknown streams": dict.fromkeys(
        KINDS, Mistake(_other_streams, says=r"not asked for are left out: spies \(1\)", ids=(1, 2, 3, 4))
    ),
    "ends with 0 and without records that it announced": {
        "airbyte": Mistake(
            lambda kind: [row(kind, 3), airbyte_state({"id": 5}, 3), *done(kind)],
            SourceUnavailableError,
            "announced 3 records, and sent 1",
        ),
        # what a tap announces is that it is still at a stream; its state is that of the records until then
        "singer": Mistake(_then(UNTOLD), says="the next load continues there", ids=(1, 2, 3)),
        "dlt": Mistake(_then({"exit": 0}), SourceUnavailableError, "ended before its resource was complete"),
    },
    "leaves midway with 0": {
        "airbyte": Mistake(_then({"exit": 0}), SourceUnavailableError, "ended before its stream was complete"),
        "singer": Mistake(_then(UNTOLD, {"exit": 0}), says="the next load continues there", ids=(1, 2, 3)),
        "dlt": Mistake(_then({"leave": 0}), SourceUnavailableError, r"the source ends its program: sys\.exit\(0\)"),
    },
    "ends with an error after its records": {
        "airbyte": Mistake(_then({"err": "boom"}, {"exit": 3}), SourceUnavailableError, "ended with 3: boom"),
        "singer": Mistake(_then({"err": "boom"}, {"exit": 3}), SourceUnavailableError, "ended with 3: boom"),
        "dlt": Mistake(_then({"raise": "boom"}), SourceUnavailableError, "ended with 1: .*boom"),
    },
    "says nothing and never ends": dict.fromkeys(
        KINDS, Mistake(_then({"sleep": 600}), SourceUnavailableError, "has said nothing for", given={"silence": "4s"})
    ),
    "talks and never ends": dict.fromkeys(
        KINDS,
        Mistake(
            _then(*[{"say": "still at it"}, {"sleep": 0.5}] * 600),
            SourceUnavailableError,
            "is not done after",
            given={"timeout": "4s"},
        ),
    ),
    "refuses the state that it is given": {
        "airbyte": Mistake(lambda _: [failure(REFUSED, "config_error"), {"exit": 1}], BadRequestError, REFUSED),
        "singer": Mistake(lambda _: [{"err": REFUSED}, {"exit": 1}], SourceUnavailableError, REFUSED),
        "dlt": Mistake(lambda _: [{"raise": REFUSED}], SourceUnavailableError, REFUSED),
    },
    "sends a state that is none": {
        "airbyte": Mistake(
            lambda kind: [row(kind, 3), {"say": {"type": "STATE", "state": 5}}, *done(kind)],
            BadDataError,
            "a state that is not one of Airbyte's protocol",
        ),
        # the one before it still leads on
        "singer": Mistake(lambda kind: [row(kind, 3), singer_state(None)], ids=(1, 2, 3)),
    },
    "takes too much memory": {
        **dict.fromkeys(
            ("airbyte", "singer"),
            Mistake(
                _then({"memory": 200}, {"sleep": 600}),
                BadRequestError,
                "MB of memory, and 150 MB are allowed",
                given={"memory_mb": 150},
            ),
        ),
        "dlt": Mistake(
            _then({"memory": 400}, {"sleep": 600}),
            BadRequestError,
            "MB of memory, and 400 MB are allowed",
            given={"memory_mb": 400},
        ),
    },
    "sends too much": dict.fromkeys(
        KINDS,
        Mistake(_much, BadRequestError, "has sent over 2 MB for one table", given={"output_mb": 2}),
    ),
    "sends a line without an end": dict.fromkeys(
        KINDS,
        Mistake(
            lambda kind: [row(kind, 3, zip="x" * (2 << 20))], BadDataError, "a line of over 1 MB from the connector"
        ),
    ),
}
CASES = [pytest.param(name, kind, id=f"{kind} {name}") for name, kinds in MISTAKES.items() for kind in kinds]


@pytest.fixture(scope="module")
def environments(dlt_environments: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The environments of dlt, and of the tests' own connector: for that uv asks no index."""
    wheels = tmp_path_factory.mktemp("wheels")
    write_wheel(wheels)
    write_old_dlt(wheels)
    patch = pytest.MonkeyPatch()
    patch.setenv("ELT_CONNECTORS", str(dlt_environments))
    patch.setenv("UV_FIND_LINKS", str(wheels))
    patch.setenv("UV_NO_INDEX", "1")
    yield
    patch.undo()


@pytest.fixture(scope="module")
def first_loads(environments: None, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """What makes the folder of a kind, with its first load."""
    made: dict[str, Path] = {}

    def of(kind: str) -> Path:
        if kind not in made:
            made[kind] = tmp_path_factory.mktemp(kind)
            Stage(kind, made[kind]).whole(1, 2).load(WEEK)
        return made[kind]

    return of


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_what_a_connector_does_wrong_is_one_error_or_the_right_result(name, kind, first_loads, tmp_path, monkeypatch):
    monkeypatch.setattr(process, "_LONGEST_LINE", 1 << 20)
    shutil.copytree(first_loads(kind), tmp_path / "loaded")
    stage, mistake = Stage(kind, tmp_path / "loaded"), MISTAKES[name][kind]
    wrong = stage.line(mistake.steps(kind), **mistake.given)
    if mistake.error:
        with pytest.raises(mistake.error, match=f"^acme.users: .*{mistake.says}") as raised:
            wrong.load(NEXT_WEEK)
        assert type(raised.value) is mistake.error
    else:
        wrong.load(NEXT_WEEK)
        assert re.search(mistake.says, " ".join(stage.log))
    assert stage.ids() == [*mistake.ids]
    # what it did wrong is over: the window again
    stage.whole(3, 4).load(NEXT_WEEK)
    assert stage.ids() == [1, 2, 3, 4]
    assert "2" in json.dumps(stage.asked)
    assert not re.search("[345]", json.dumps(stage.asked))


def test_a_tap_that_ends_in_the_middle_of_a_whole_read_is_an_error(first_loads, tmp_path):
    stage = Stage("singer", tmp_path)
    whole = {"sync": "full", "write_disposition": "replace"}
    stage.whole(1, 2, **whole).load(WEEK)
    with pytest.raises(SourceUnavailableError, match="ended before its stream was complete"):
        stage.line([row("singer", 1), UNTOLD], **whole).load(NEXT_WEEK)
    assert stage.ids() == [1, 2]


def test_a_resource_all_of_whose_rows_are_those_of_other_tables_is_an_error(first_loads, tmp_path):
    with pytest.raises(BadDataError, match="marks all of its rows as those of other tables: spies"):
        Stage("dlt", tmp_path).line([{"other": {"id": 9}}]).load(WEEK)


@pytest.mark.parametrize("kind", ["airbyte", "singer"])
def test_a_catalog_without_names_of_streams_is_an_error(kind, first_loads, tmp_path):
    stage = Stage(kind, tmp_path)
    line = stage.whole(1)
    line.connection.extra["streams"] = [5]
    with pytest.raises(BadDataError, match=r"printed no catalog|streams without names"):
        line.load(WEEK)


def test_a_record_that_is_not_as_airbytes_protocol_has_it_is_a_reject(first_loads, tmp_path):
    stage = Stage("airbyte", tmp_path)
    bad = {"say": {"type": "RECORD", "record": {"stream": "users", "emitted_at": 1}}}
    rows = [row("airbyte", number) for number in range(1, 20)]
    report = stage.line([*rows, bad, *done("airbyte")]).load(WEEK)
    assert (report.rows_read, report.rows_loaded, report.rows_rejected) == (20, 19, 1)
