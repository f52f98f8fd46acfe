"""What connectors of others do wrong, each by its name, for every kind of them: one clear error or the right result.

A first load is there. Then a connector does what it should not, and then it does what it should: nothing is lost,
nothing is there twice, and it is given the state of the first load both times, as that is the one which was committed.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from connector_stage import KINDS, NEXT_WEEK, Stage, Steps, done, row, state
from connectors_support import airbyte_record, airbyte_state, failure, singer_record, singer_state

from elt_factory.core.failures import BadDataError, BadRequestError, EltError, SourceUnavailableError
from elt_factory.sources.connectors import process
from elt_factory.testing.loads import WEEK

pytestmark = pytest.mark.services


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
